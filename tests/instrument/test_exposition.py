"""What a scrape sees."""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

import pipemon
from pipemon import Category, Feature, Model, Pipeline, catalogue
from pipemon.features import length, level_dbfs

ROOT = Path(__file__).resolve().parents[2]
Read = Callable[..., float | None]


@pytest.fixture
def cascade(registry: CollectorRegistry) -> Pipeline:
    """A pipeline that exports everything that pipemon can."""
    speech = Pipeline("speech", version="1.4", budget="500ms", registry=registry)

    @speech.stage("vad", after=None, inputs={"audio": level_dbfs()}, output=length(), budget="50ms", null=len)
    def vad(audio: list[float]) -> list[float]:
        return audio

    @speech.stage(
        "asr",
        after="vad",
        output=[Feature("score", lambda value: value), Category("sign", lambda value: "plus", categories=("plus",))],
        model=Model(code="v1", params="p1", data="d1", trained=1e9),
        queued_at={"segments": lambda segments: 0},
        workers=2,
        scores=["wer"],
        candidates=["2.0"],
        labels=True,
        decisions=True,
    )
    def asr(segments: list[float]) -> float:
        pipemon.drop("noise")
        return 1 / len(segments)

    @speech.stage("words", after="asr")
    def words(score: float) -> Iterator[str]:
        yield "word"

    @speech.run
    def answer(audio: list[float]) -> float:
        return len(list(words(asr(vad(audio)))))

    speech.traffic("vad", "1.4", 1.0)
    answer([0.5])
    with pytest.raises(ZeroDivisionError):
        answer([])
    return speech


def exported(registry: CollectorRegistry) -> Iterator[tuple[str, str, str, dict[str, str]]]:
    """(family as in the catalogue, sample, type, labels)."""
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        name = family.name + ("_total" if family.type == "counter" else "")
        for sample in family.samples:
            yield name, sample.name, family.type, sample.labels


def test_everything_exported_is_in_the_catalogue_and_everything_in_it_is_exported(
    cascade: Pipeline, registry: CollectorRegistry
) -> None:
    seen: dict[str, set[str]] = {}
    for name, sample, kind, labels in exported(registry):
        metric = catalogue.METRICS[name]
        assert kind == metric.type
        assert sample in metric.series
        assert set(labels) - {"le"} == set(metric.labels), sample
        seen.setdefault(name, set()).add(sample)
    exported_by_batch_jobs_only = {catalogue.BATCH_LAST_SUCCESS.name}
    assert set(seen) == set(catalogue.METRICS) - exported_by_batch_jobs_only
    for name, samples in seen.items():
        assert samples == set(catalogue.METRICS[name].series), name


def test_everything_is_valid_openmetrics_and_text_and_a_histogram_with_negative_bounds_has_buckets_alone(
    cascade: Pipeline, registry: CollectorRegistry
) -> None:
    parsed = (
        list(parse_openmetrics(generate_openmetrics(registry).decode())),
        list(text_string_to_metric_families(generate_latest(registry).decode())),
    )
    assert {family.name for family in parsed[0]} == {family.name for family in parsed[1]}
    for families in parsed:
        samples = [sample for family in families for sample in family.samples]
        features: dict[str, set[str]] = {"_bucket": set(), "_count": set(), "_sum": set()}
        for sample in samples:
            if sample.name.startswith("pipemon_feature_value_"):
                features[sample.name.removeprefix("pipemon_feature_value")].add(sample.labels["feature"])
        assert features["_bucket"] == {"audio_level_dbfs", "length", "score"}
        assert features["_count"] == features["_sum"] == {"length"}


def test_a_stage_that_is_declared_again_with_other_features_shows_20_names_in_all(registry: CollectorRegistry) -> None:
    for times in range(3):
        speech = Pipeline("speech", registry=registry)

        @speech.stage("vad", output=length(f"length_{times}"))
        def vad(name: str, *, raises: bool) -> str:
            if raises:
                raise type(name, (Exception,), {})
            pipemon.drop(name)
            return name

        for number in range(15):
            vad(f"E{times}_{number}", raises=False)
            with suppress(Exception):
                vad(f"E{times}_{number}", raises=True)
        del speech
    for family, label in (("exceptions", "exception"), ("drop_reasons", "reason")):
        found = [
            labels[label] for _, sample, _, labels in exported(registry) if sample == f"pipemon_stage_{family}_total"
        ]
        assert len(found) == 21
        assert "other" in found


def test_help_and_units_are_the_catalogues(cascade: Pipeline, registry: CollectorRegistry) -> None:
    families = list(registry.collect())
    for family in families:
        metric = catalogue.METRICS[family.name + ("_total" if family.type == "counter" else "")]
        assert (family.documentation, family.unit) == (metric.help, metric.unit)
    assert len(families) == len(catalogue.METRICS)


def test_what_is_known_at_decoration_is_there_at_zero_before_the_first_call(registry: CollectorRegistry) -> None:
    speech = Pipeline("speech", registry=registry, feedback=["angry"])
    speech.run(lambda: 1)
    category = Category("sign", str, categories=("plus",))
    speech.stage("vad", inputs={"audio": length()}, output=[Feature("score", len), category], null=len)(lambda audio: 1)
    speech.stage("asr", scores=["wer"], candidates=["2.0"], labels=True, decisions=True)(lambda audio: 1)
    samples = {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels) if name not in ("pipeline", "stage"))): (
            sample.value
        )
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
    }
    at_zero = {key[0] for key, number in samples.items() if number == 0}
    assert at_zero >= {
        *(name for name, metric in catalogue.METRICS.items() if metric.type == "counter"),
        "pipemon_stage_duration_seconds_bucket",
        "pipemon_stage_duration_seconds_count",
        "pipemon_pipeline_duration_seconds_count",
        "pipemon_feature_value_bucket",
        "pipemon_quality_score_count",
        "pipemon_label_delay_seconds_count",
        "pipemon_review_wait_seconds_count",
        "pipemon_stage_in_progress",
        "pipemon_pipeline_in_progress",
    } - {
        "pipemon_stage_exceptions_total",
        "pipemon_stage_drop_reasons_total",
        "pipemon_flush_seconds_total",
    }
    signals = {key[1] for key in samples if key[0] == "pipemon_feedback_total"}
    assert signals == {"redo", "accepted", "corrected", "angry", "other"}
    stages = {key[1] for key in samples if key[0] == "pipemon_pipeline_failures_total"}
    assert stages == {"vad", "asr", "other"}
    for direction, feature in (("input", "audio_length"), ("output", "score")):
        for sign in ("positive", "negative"):
            assert samples["pipemon_feature_sum_total", direction, feature, sign, "stable", "0"] == 0
        assert samples["pipemon_extractor_errors_total", direction, feature, "stable", "0"] == 0
    assert samples["pipemon_extractor_errors_total", "output", "null", "stable", "0"] == 0


def test_without_a_run_no_pipeline_series_pretends_that_there_is_one(
    speech: Pipeline, registry: CollectorRegistry
) -> None:
    speech.stage("vad")(lambda: 1)
    assert not [name for name, *_ in exported(registry) if name.startswith("pipemon_pipeline_")]


def test_there_are_no_created_series(cascade: Pipeline, registry: CollectorRegistry) -> None:
    for text in (generate_latest(registry), generate_openmetrics(registry)):
        assert b"_created" not in text


def test_a_scrape_shows_every_call_that_ended_before_it(cascade: Pipeline, registry: CollectorRegistry) -> None:
    server = pipemon.expose(0, addr="127.0.0.1", registry=registry)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=120) as response:
            text = response.read().decode()
    finally:
        server.close()
        server.close()
    assert 'pipemon_stage_calls_total{pipeline="speech",stage="vad",track="stable",version="1.4"} 2.0' in text
    assert 'pipemon_stage_budget_seconds{pipeline="speech",stage="vad",track="stable",version="1.4"} 0.05' in text
    assert 'le="0.05"' in text


def test_closing_frees_the_port_and_a_taken_port_is_said_at_once(registry: CollectorRegistry) -> None:
    first = pipemon.expose(0, addr="127.0.0.1", registry=registry)
    with pytest.raises(OSError, match=r"[Aa]ddress .*: the metrics can't be served at .*:\d+$"):
        pipemon.expose(first.port, addr="127.0.0.1", registry=registry)
    first.close()
    pipemon.expose(first.port, addr="127.0.0.1", registry=registry).close()


@pytest.mark.parametrize("port", ["9464", 70_000, -1, True, None])
def test_what_is_no_port_is_refused_in_words(registry: CollectorRegistry, port: Any) -> None:
    with pytest.raises(pipemon.DeclarationError, match="a port is a whole number from 0, any that is free, to 65535"):
        pipemon.expose(port, registry=registry)


def test_no_name_server_is_asked_for_this_machines_name(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(name: str = "") -> str:
        raise AssertionError(f"{name!r} was looked up")

    monkeypatch.setattr("socket.getfqdn", asked)
    pipemon.expose(0, registry=registry).close()


def test_an_unknown_address_is_said(registry: CollectorRegistry) -> None:
    with pytest.raises(OSError, match=r": the metrics can't be served at 256\.0\.0\.1:0$"):
        pipemon.expose(0, addr="256.0.0.1", registry=registry)


def run_python(code: str, **environment: str) -> str:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_importing_pipemon_imports_prometheus_client_and_numpy_and_starts_nothing() -> None:
    code = """
import json, sys, threading
standard = set(sys.stdlib_module_names)
before = {name.partition('.')[0] for name in sys.modules}
import pipemon, pipemon.features; pipemon.Pipeline
tops = {name.partition('.')[0] for name in sys.modules} - before
import prometheus_client
named = [metric.name for metric in prometheus_client.REGISTRY.collect() if metric.name.startswith('pipemon')]
print(json.dumps([sorted(tops - standard), threading.active_count(), named]))
"""
    tops, threads, named = json.loads(run_python(code))
    assert set(tops) <= {"pipemon", "prometheus_client", "numpy", "_distutils_hack"}
    assert threads == 1
    assert named == []


def test_disabled_every_decorator_gives_back_the_function_and_nothing_is_exported() -> None:
    code = """
import pipemon, prometheus_client
speech = pipemon.Pipeline('speech')
def vad(audio): return audio
async def asr(audio): return audio
assert speech.stage(vad) is vad
assert speech.stage('asr', after='vad', budget='1s')(asr) is asr
assert speech.run(vad) is vad
speech.feedback('redo', stage='nobody')
server = pipemon.expose(1)
server.close()
assert [stage.name for stage in speech.describe().stages] == ['vad', 'asr']
assert (pipemon.current_run().id, pipemon.current_run().headers()) == ('', {})
assert b'pipemon' not in prometheus_client.generate_latest()
"""
    run_python(code, PIPEMON_DISABLED="1")


def test_calls_left_in_the_buffer_are_flushed_at_exit() -> None:
    code = """
import atexit, pipemon, prometheus_client
registry = prometheus_client.CollectorRegistry()
def show():
    labels = {'pipeline': 'speech', 'stage': 'vad', 'version': '0', 'track': 'stable'}
    child = exporter.families['pipemon_stage_calls_total'].labels('speech', 'vad', '0', 'stable')
    print(child._value.get())
atexit.register(show)  # before pipemon's own, so after it at exit
from pipemon.instrument.exporter import exporter_for
speech = pipemon.Pipeline('speech', registry=registry)
exporter = exporter_for(registry)
vad = speech.stage('vad')(lambda: 1)
vad()
"""
    code = code.replace("import atexit, pipemon, prometheus_client", "import atexit, prometheus_client")
    code = code.replace("from pipemon.instrument", "import pipemon\nfrom pipemon.instrument")
    assert run_python(code) == "1.0\n"


def test_in_multiprocess_mode_workers_add_up(tmp_path: Path) -> None:
    worker = """
import pipemon, prometheus_client
from pipemon.features import length
speech = pipemon.Pipeline('speech', budget='1s', registry=prometheus_client.CollectorRegistry())
vad = speech.stage('vad', output=length())(lambda: 'abc')
vad(); vad()
"""
    for _ in range(2):
        run_python(worker, PROMETHEUS_MULTIPROC_DIR=str(tmp_path))
    scrape = """
import prometheus_client
from prometheus_client import multiprocess
registry = prometheus_client.CollectorRegistry()
multiprocess.MultiProcessCollector(registry)
print(prometheus_client.generate_latest(registry).decode())
"""
    text = run_python(scrape, PROMETHEUS_MULTIPROC_DIR=str(tmp_path))
    labels = 'pipeline="speech",stage="vad",track="stable",version="0"'
    assert f"pipemon_stage_calls_total{{{labels}}} 4.0" in text
    assert f'pipemon_feature_value_bucket{{direction="output",feature="length",le="3.0",{labels}}} 4.0' in text
    assert "pid=" not in text


@pytest.mark.integration
@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_finds_nothing_to_improve(cascade: Pipeline, registry: CollectorRegistry) -> None:
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=generate_latest(registry), capture_output=True, timeout=240, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
