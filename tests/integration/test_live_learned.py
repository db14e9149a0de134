"""`pipemon check --url` on what is learned later and on drift, beside a real Prometheus that has the rules."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry, start_http_server
from real_servers import running_prometheus, until

import pipemon
from pipemon.catalogue import CONFIDENCE_BINS
from pipemon.generate.inhibition import plan
from pipemon.generate.live.modes import Line, modes_told
from pipemon.generate.live.running import running
from pipemon.generate.rules import rule_file, rules
from pipemon.prometheus import Prometheus
from pipemon.spec.load import load
from pipemon.spec.scale import scaled

pytestmark = pytest.mark.integration

SPEC = """\
pipeline: speech
scrape_interval: 15s
baseline: speech.baseline.json
stages:
  vad: {features: {output.segments: segments, input.language: [en, de]}}
  asr: {after: vad, features: {output.confidence: ratio}}
failure_modes:
  nobody-labels: {what: x, stage: asr, signal: labelled, below: 50%}
  labels-late: {what: x, stage: asr, signal: {label_delay: p90}, above: 3d}
  overconfident: {what: x, stage: asr, signal: calibration, above: 10%, min_calls: 50}
  wrong: {what: x, stage: asr, signal: wrong_ratio, above: 40%}
  estimated: {what: x, stage: asr, signal: {estimated_accuracy: output.confidence}, below: 60%}
  segments: {what: x, stage: vad, signal: {drift: output.segments}}
  languages: {what: x, stage: vad, signal: {drift: js of input.language}}
  few: {what: x, stage: asr, signal: {drift: output.confidence}}
  adds-up: {what: x, stage: asr, signal: {cusum: wrong_ratio}, above: 20%}
"""
BASELINE = {
    "pipeline": "speech", "from": 0, "to": 1, "features": {
        "vad.output.segments": {
            "mean": 2.0, "sd": 1.0, "count": 9000, "unit": "segments", "bounds": [1.0, 2.0, 3.0],
            "shares": [0.25, 0.25, 0.25, 0.25],
        },
        "asr.output.confidence": {
            "mean": 0.5, "sd": 0.3, "count": 9000, "unit": "ratio", "bounds": [float(bin) for bin in CONFIDENCE_BINS],
            "shares": [0.1] * 10 + [0.0], "design_effect": 100.0,
        },
        "vad.input.language": {"count": 9000, "categories": {"en": 0.5, "de": 0.5}},
    },
}  # fmt: skip
SCALE = 60


def service(folder: Path) -> tuple[CollectorRegistry, Callable[[int], None]]:
    registry = CollectorRegistry()
    speech = pipemon.Pipeline("speech", version="1", registry=registry, baseline=str(folder / "speech.baseline.json"))
    tenths = [float(bin) for bin in CONFIDENCE_BINS]
    spoken = pipemon.Category("language", lambda call: "en" if call % 2 else "de", categories=("en", "de"))

    @speech.stage("vad", inputs={"call": spoken}, output=pipemon.Feature("segments", lambda found: 4, unit="segments"))
    def vad(call: int) -> int:
        return call

    @speech.stage("asr", labels=True, output=pipemon.Feature("confidence", lambda _: 0.75, unit="ratio", bounds=tenths))
    def asr(found: int) -> int:
        return found

    @speech.run
    def answer(call: int) -> str:
        asr(vad(call))
        run = pipemon.current_run()
        assert run is not None
        return run.token

    def labelled(calls: int) -> None:
        for call in range(calls):
            speech.label_expected("asr")
            run = answer(call)
            # Of four calls three are labelled, and half of those were right.
            if call % 4:
                speech.calibration("asr", confidence=0.75, correct=call % 8 < 4, run=run)

    return registry, labelled


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Prometheus, Path]]:
    """A Prometheus that has the rules, and has seen 800 calls, all unlike the baseline; and the file."""
    folder = tmp_path_factory.mktemp("speech")
    path = folder / "speech.yaml"
    path.write_text(SPEC)
    (folder / "speech.baseline.json").write_text(json.dumps(BASELINE))
    registry, labelled = service(folder)
    with ExitStack() as stack:
        http, thread = start_http_server(0, "127.0.0.1", registry)
        stack.callback(thread.join)
        stack.callback(http.server_close)
        stack.callback(http.shutdown)
        (folder / "speech.rules.yml").write_text(rule_file(rules(plan(scaled(load(path), SCALE)).spec)))
        jobs = [{"job_name": "speech", "static_configs": [{"targets": [f"127.0.0.1:{http.server_port}"]}]}]
        config = {"global": {"scrape_interval": "1s"}, "scrape_configs": jobs, "rule_files": ["*.rules.yml"]}
        client = stack.enter_context(running_prometheus(yaml.safe_dump(config), folder))
        until(lambda: client.query("pipemon_stage_calls_total"), "the counters at zero")
        labelled(800)
        until(lambda: client.query("pipemon_pipeline_runs_total offset 1s == 800"), "the calls scraped")
        yield client, path


def told(url: str, path: Path) -> dict[str, Line]:
    live, spec = running(url, scaled(load(path), SCALE))
    return {line.words.partition(":")[0]: line for line in modes_told(spec, live)}


def test_what_labels_tell_has_its_value_now_and_in_the_last_hour(server: tuple[Prometheus, Path]) -> None:
    client, path = server
    lines = told(client.url, path)
    said = {
        "nobody-labels": "asr labelled 75% now, 75% in the last hour, below 50%: is fine",
        "overconfident": "asr calibration 25% now, 25% in the last hour, above 10%: would be firing",
        "wrong": "asr wrong_ratio 50% now, 50% in the last hour, above 40%: would be firing",
        "estimated": "asr estimated_accuracy output.confidence 50% now, 50% in the last hour, below 60%: would be "
        "firing",
    }
    assert {name: lines[name].words.removeprefix(f"{name}: ") for name in said} == said
    assert "asr label_delay p90 " in lines["labels-late"].words
    assert lines["labels-late"].words.endswith("in the last hour, above 3d: is fine")


def test_drift_and_sums_are_those_that_the_loaded_rules_record(server: tuple[Prometheus, Path]) -> None:
    client, path = server

    def known() -> dict[str, Line]:
        lines = told(client.url, path)
        return lines if all(" now, " in lines[name].words for name in ("segments", "languages", "adds-up")) else {}

    lines = until(known, "the rules evaluated")
    assert lines["segments"].words.endswith("in the last hour, above 0.1: would be firing")
    assert (
        lines["languages"].words == "languages: vad drift input.language 0 now, 0 in the last hour, above 0.13: is fine"
    )
    assert lines["adds-up"].words.startswith("adds-up: asr cusum wrong_ratio ")
    (recorded,) = client.query('max({__name__=~".+:pipemon_feature_value_psi_significant:.+",version="1"})')
    # It goes on while the window fills.
    now = float(lines["segments"].words.split(" now, ")[0].rpartition(" ")[2])
    assert now == pytest.approx(recorded.value, rel=0.1)


def test_rules_that_are_not_loaded_are_told(server: tuple[Prometheus, Path], tmp_path: Path) -> None:
    client, path = server
    other = tmp_path / "speech.yaml"
    text = SPEC.replace("cusum: wrong_ratio", "cusum: error_ratio").replace("drift: output", "drift: ks of output")
    other.write_text(text)
    (tmp_path / "speech.baseline.json").write_text((path.parent / "speech.baseline.json").read_text())
    lines = told(client.url, other)
    for name, rule in (("segments", "feature_value_ks_significant"), ("adds-up", "stage_failures_cusum")):
        assert ": unknown: nothing records pipeline_stage" in lines[name].words
        assert f":pipemon_{rule}:" in lines[name].words
        assert "there: the generated rules are not loaded, or " in lines[name].words


def test_drift_of_too_few_values_is_not_said_to_be_none(server: tuple[Prometheus, Path]) -> None:
    client, path = server
    until(lambda: told(client.url, path)["few"].words.endswith("or other bins than it is compared with"), "the rules")
    assert told(client.url, path)["few"].words.startswith("few: asr drift output.confidence: unknown: too few values")
