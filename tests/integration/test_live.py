"""`pipemon check --url` beside a real Prometheus: each failure mode's value, and what its series lack."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from command_line import pipemon as command
from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from real_servers import running_prometheus, until

import pipemon
from pipemon.generate.expressions import alert_expr
from pipemon.generate.inlining import inlined
from pipemon.generate.live.modes import Line, modes_told
from pipemon.generate.live.running import running
from pipemon.generate.live.values import measures
from pipemon.generate.promql import text
from pipemon.prometheus import Prometheus
from pipemon.spec.load import load
from pipemon.spec.model import Spec
from pipemon.spec.scale import scaled

pytestmark = pytest.mark.integration

SPEC = """\
pipeline: speech
budget: 500ms
keep: [cluster]
scrape_interval: 5s
stages:
  vad: {budget: 50ms, features: {output.segments: segments}}
  asr: {after: vad, budget: 300ms}
failure_modes:
  vad-cuts: {what: It cuts, stage: vad, signal: null_ratio, above: 5%}
  asr-fails: {what: It fails, stage: asr, signal: error_ratio, above: 1%}
  few-segments: {what: Few, stage: vad, signal: {mean: output.segments}, below: 5}
  dead: {what: Dead, stage: vad, signals: {all: [{mean: output.segments, below: 1}, {signal: null_ratio, above: 5%}]}}
  slow: {what: Slow, stage: asr, signal: {latency: p50}, above: budget}
  crowd: {what: A crowd, stage: asr, signal: in_progress, above: 64}
  flood: {what: A flood, stage: vad, signal: throughput, above: 0.01}
  redo: {what: Again, stage: asr, signal: {feedback: redo}, above: 2x last week}
  leak: {what: It leaks, stage: asr, signal: memory, above: 64 GiB}
  answers-fail: {what: No answer, signal: error_ratio}
  silence: {what: Nobody calls, stage: vad, signal: no_calls}
  queue: {what: Full, signal: {promql: 'max(up) > 0'}, fires_on: ['up 1x50'], quiet_on: ['up 0x50']}
"""


def service(name: str) -> tuple[CollectorRegistry, pipemon.Pipeline]:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    speech = pipemon.Pipeline(name, version="1", budget="500ms", registry=registry)

    @speech.stage("vad", output=pipemon.Feature("segments", len, unit="segments"), budget="50ms")
    def vad(call: int) -> list[int]:
        return [] if call % 4 == 0 else [1, 2, 3]

    @speech.stage("asr", after="vad", budget="300ms")
    def asr(segments: list[int]) -> str:
        return "hello"

    @speech.run
    def answer(call: int) -> str:
        return asr(vad(call) or [0])

    speech.__dict__["answer"] = answer
    return registry, speech


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Prometheus, dict[str, str]]]:
    """A Prometheus that has seen 80 calls of each of two pipelines, and their addresses."""
    with ExitStack() as stack:
        pages, pipelines = {}, []
        for name in ("speech", "clash"):
            registry, pipeline = service(name)
            pipelines.append(pipeline)
            http, thread = start_http_server(0, "127.0.0.1", registry)
            stack.callback(thread.join)
            stack.callback(http.server_close)
            stack.callback(http.shutdown)
            pages[name] = f"127.0.0.1:{http.server_port}"
        labels = {"speech": {"cluster": "eu"}, "clash": {"stage": "prod"}}
        jobs = [
            {"job_name": name, "static_configs": [{"targets": [page], "labels": labels[name]}]}
            for name, page in pages.items()
        ]
        everywhere = {"scrape_interval": "200ms", "external_labels": {"environment": "staging"}}
        config = yaml.safe_dump({"global": everywhere, "scrape_configs": jobs})
        client = stack.enter_context(running_prometheus(config, tmp_path_factory.mktemp("prometheus")))
        until(lambda: len(client.query("up == 1")) == 2, "both scraped")
        for pipeline in pipelines:
            for call in range(80):
                pipeline.__dict__["answer"](call)
        until(lambda: client.query("pipemon_pipeline_runs_total offset 400ms == 80"), "the calls scraped")
        yield client, pages


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "speech.yaml"
    path.write_text(SPEC)
    return path


def told(url: str, spec: Spec) -> dict[str, Line]:
    live, there = running(url, spec)
    return {line.words.partition(":")[0].partition(" ")[0]: line for line in modes_told(there, live)}


def test_each_failure_mode_has_its_value_beside_its_threshold(
    server: tuple[Prometheus, dict[str, str]], spec: Path
) -> None:
    client, _ = server
    done = command("check", str(spec), "--url", client.url)
    lines = [line.removeprefix("  running: ") for line in done.out.splitlines() if "running: " in line]
    assert (done.code, done.err) == (0, "")
    eu = '(cluster="eu"): '
    assert f"vad-cuts {eu}vad null_ratio 25% now, 25% in the last hour, above 5%: would be firing" in lines
    assert any(
        line.startswith(f"asr-fails {eu}asr error_ratio 0% now")
        and "unknown: too little traffic" in line
        and line.endswith("needs 300")
        for line in lines
    )
    segments = "vad mean output.segments 2.25 segments now, 2.25 segments in the last hour, below"
    assert f"few-segments {eu}{segments} 5 segments: would be firing" in lines
    assert any(line.startswith("silence") and line.endswith("is fine") for line in lines)
    assert any(line.startswith(f"leak {eu}asr memory ") and line.endswith("is fine") for line in lines)
    assert any(line.startswith("queue: its expression holds now, held in the last hour: would") for line in lines)
    assert any(line.startswith("redo") and "there is no value of last week to compare with" in line for line in lines)


def test_what_would_be_firing_is_what_its_alert_finds(server: tuple[Prometheus, dict[str, str]], spec: Path) -> None:
    client, _ = server
    speech = load(spec)
    rules = [rule for _, each in measures(speech) for rule in each.recordings]
    lines = told(client.url, speech)
    firing = {name for name, line in lines.items() if line.words.endswith("would be firing")}
    by_alert = {
        mode.name
        for mode in speech.measurable
        if client.query(text(inlined(alert_expr(speech, mode), rules, speech.interval(mode))))
    }
    assert firing == by_alert == {"vad-cuts", "few-segments", "flood", "queue"}
    assert not any(line.fault for line in lines.values())


def test_a_target_label_that_hides_ours_is_found(server: tuple[Prometheus, dict[str, str]], spec: Path) -> None:
    client, _ = server
    lines = list(modes_told(replace(load(spec), pipeline="clash"), running(client.url, load(spec))[0]))
    assert lines[0] == Line(
        "a target label stage hides pipemon's own, which arrives as exported_stage: "
        'set `honor_labels: true` in the scrape config of the job "clash", rename the target\'s, '
        "or say `labels: {stage: exported_stage}`",
        fault=True,
    )
    assert any(line.words.endswith("arrives as exported_stage") for line in lines[1:])
    known = replace(load(spec), pipeline="clash", labels=(("stage", "exported_stage"),))
    live, known = running(client.url, known)
    lines = list(modes_told(known, live))
    assert not any("exported_stage" in line.words for line in lines)
    assert any(" now, " in line.words for line in lines)


def test_a_label_a_stage_and_a_pipeline_that_are_not_there_end_with_1(
    server: tuple[Prometheus, dict[str, str]], spec: Path
) -> None:
    client, _ = server
    spec.write_text(SPEC.replace("[cluster]", "[region]"))
    done = command("check", str(spec), "--url", client.url)
    assert done.code == 1
    assert "the label region is not on pipemon_stage_null_outputs_total there" in done.out
    (line, *_) = told(client.url, replace(load(spec), pipeline="speec")).values()
    assert line.words.endswith("is it scraped? The nearest there is 'speech'")


def test_a_kept_label_that_alerts_get_on_their_way_out_is_on_no_series_and_no_fault(
    server: tuple[Prometheus, dict[str, str]], spec: Path
) -> None:
    client, _ = server
    lines = told(client.url, replace(load(spec), keep=("environment", "cluster")))
    assert not any(line.fault for line in lines.values())
    assert '(cluster="eu"): vad null_ratio 25% now' in lines["vad-cuts"].words
    # Another label of no series is one.
    assert told(client.url, replace(load(spec), keep=("environment", "region")))["vad-cuts"].fault


def test_windows_and_looks_back_are_held_against_scraping_and_retention(
    server: tuple[Prometheus, dict[str, str]], spec: Path
) -> None:
    client, _ = server
    quick = told(client.url, scaled(load(spec), 1000))
    assert quick["vad-cuts"].fault
    assert "its window of 300ms is under two scrapes, one every 200ms there" in quick["vad-cuts"].words
    assert quick["scraped"].words.startswith("scraped every 200ms there, and the file says scrape_interval: 5ms")
    spec.write_text(
        SPEC.replace("signal: null_ratio, above: 5%}\n", "signal: null_ratio, above: 5%, window: 16d}\n", 1)
    )
    long = told(client.url, load(spec))
    assert long["vad-cuts"].fault
    assert long["vad-cuts"].words.endswith("it looks back 16d, and samples are kept for 15d there")


def test_one_process_tells_what_it_counted_since_it_began(
    server: tuple[Prometheus, dict[str, str]], spec: Path
) -> None:
    _, pages = server
    done = command("check", str(spec), "--url", f"http://{pages['speech']}/metrics")
    assert (done.code, done.err) == (0, "")
    assert "vad-cuts: vad null_ratio 25% since the process began, above 5%: would be firing" in done.out
    assert "crowd: asr in_progress 0 calls now, above 64 calls: is fine" in done.out
    assert "flood: vad throughput: unknown: one process's page does not tell it; ask a Prometheus" in done.out
