"""Everything that pipemon exports keeps the rules that Prometheus checks names by, and so does what users declare."""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pynvml
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

import pipemon
from pipemon import Feature, Pipeline, catalogue
from pipemon.catalogue import Metric
from pipemon.features import length, level_dbfs
from pipemon.instrument.gpu import GpuCollector
from pipemon.units import check_unit

ABBREVIATIONS = {"s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h", "d"}
TYPES = {"counter", "gauge", "summary", "histogram", "gauge_histogram"}


def lint(metric: Metric) -> Iterator[str]:
    """The rules of promlint in github.com/prometheus/client_golang, prometheus/testutil/promlint/validations."""
    name, words = metric.name, metric.name.lower().split("_")
    if not metric.help:
        yield "no help text"
    if (metric.type == "counter") != name.endswith("_total"):
        yield "_total on counters and on nothing else"
    for word in words:
        try:
            check_unit(word)
        except ValueError as error:
            if word not in ABBREVIATIONS:
                yield str(error)
    if ABBREVIATIONS & set(words[1:]):
        yield "abbreviated unit"
    if any(f"_{type}_" in f"{name}_" for type in TYPES):
        yield "type in the name"
    if ":" in name:
        yield "colon in the name"
    if any(re.search("[a-z][A-Z]", text) for text in (name, *metric.labels)):
        yield "camelCase"
    if metric.type != "histogram" and name.endswith(("_bucket", "_count", "_sum")):
        yield "a histogram's suffix"
    if {"le", "quantile"} & set(metric.labels):
        yield "a histogram's or summary's label"


GOOD = Metric("speech_wait_seconds", "histogram", ("stage",), "Time in the queue.")


@pytest.mark.parametrize(
    ("bad", "rule"),
    [
        ({"help": ""}, "no help text"),
        ({"name": "speech_wait_seconds_total"}, "_total on counters"),
        ({"name": "speech_calls", "type": "counter"}, "_total on counters"),
        ({"name": "speech_wait_milliseconds"}, "unit 'milliseconds' is not a base unit; use 'seconds'"),
        ({"name": "speech_share_percent"}, "unit 'percent' is not a base unit; use 'ratio'"),
        ({"name": "speech_wait_ms"}, "abbreviated unit"),
        ({"name": "speech_wait_histogram"}, "type in the name"),
        ({"name": "speech:wait_seconds"}, "colon"),
        ({"name": "speech_waitTime_seconds"}, "camelCase"),
        ({"labels": ("stageName",)}, "camelCase"),
        ({"name": "speech_wait_count", "type": "gauge"}, "a histogram's suffix"),
        ({"labels": ("le",)}, "a histogram's or summary's label"),
    ],
)
def test_each_rule_finds_what_breaks_it(bad: dict[str, Any], rule: str) -> None:
    assert list(lint(GOOD)) == []
    assert rule in " ".join(lint(GOOD._replace(**bad)))


@pytest.mark.parametrize(
    "metric",
    [*catalogue.METRICS.values(), *catalogue.GPU_METRICS.values(), *catalogue.RECEIVER_METRICS.values()],
    ids=lambda metric: str(metric.name),
)
def test_every_metric_of_the_catalogue_keeps_the_rules(metric: Metric) -> None:
    assert list(lint(metric)) == []


@pytest.fixture
def everything(registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch) -> CollectorRegistry:
    """A registry with a series of every metric, all that is optional switched on."""
    speech = Pipeline("speech", budget="500ms", registry=registry, feedback=["angry"], slices={"age": ["young"]})
    model = pipemon.Model(code="v1", params={"beam": 5}, data="2026-06", trained="2026-06-30")

    @speech.stage(
        "vad",
        after=None,
        inputs={"audio": level_dbfs()},
        output=[length(), pipemon.Category("kind", lambda _: "speech", categories=("speech", "music"))],
        null=len,
        budget="50ms",
        model=model,
        queued_at={"queued": lambda queued: queued},
        workers=2,
        scores=["wer", pipemon.Score("gain", unit="dB")],
        candidates=["2.0"],
        labels=True,
        decisions=True,
    )
    def vad(audio: list[float], queued: float) -> list[float]:
        pipemon.drop("noise", 2)
        return audio

    @speech.stage("words", after="vad", output=length())
    def words(segments: list[float]) -> Iterator[str]:
        yield from map(str, segments)

    @speech.stage("score", after="words", batch=True, one_to_one=True, output=Feature("score", float))
    def score(found: list[str]) -> list[float]:
        return [1 / float(word) for word in found]

    @speech.run
    def answer(audio: list[float]) -> list[float]:
        return score(list(words(vad(audio, 0.0))))

    answer([0.5])
    with pytest.raises(ZeroDivisionError):
        answer([0.0])
    speech.feedback("redo", stage="vad", slice={"age": "young"})
    speech.traffic("vad", model.version, 0.5)
    assert pipemon.push("gateway", "nightly", pipeline=speech, registry=registry, handler=lambda **_: lambda: None)
    registry.register(GpuCollector(OneGpu(), wait=10))
    return registry


class OneGpu:
    """pynvml on a machine with a GPU."""

    nvmlMemory_v2 = pynvml.nvmlMemory_v2
    NVML_TEMPERATURE_GPU = pynvml.NVML_TEMPERATURE_GPU
    NVMLError_NotSupported = pynvml.NVMLError_NotSupported
    NVMLError_NoPermission = pynvml.NVMLError_NoPermission
    NVMLError_FunctionNotFound = pynvml.NVMLError_FunctionNotFound

    def __getattr__(self, name: str) -> Callable[..., Any]:
        answers = {
            "nvmlInit": None,
            "nvmlDeviceGetCount": 1,
            "nvmlDeviceGetHandleByIndex": object(),
            "nvmlDeviceGetUUID": "GPU-604ac76c",
            "nvmlDeviceGetName": "NVIDIA L4",
            "nvmlDeviceGetUtilizationRates": pynvml.c_nvmlUtilization_t(gpu=25),
            "nvmlDeviceGetMemoryInfo": pynvml.c_nvmlMemory_v2_t(total=2, used=1),
            "nvmlDeviceGetTemperature": 61,
            "nvmlDeviceGetPowerUsage": 70_500,
        }
        assert callable(getattr(pynvml, name))
        return lambda *_, **__: answers[name]


def test_that_is_every_metric_of_the_catalogue(everything: CollectorRegistry) -> None:
    families: Iterable[Any] = text_string_to_metric_families(generate_latest(everything).decode())
    with_samples = {family.name + "_total" * (family.type == "counter") for family in families if family.samples}
    assert with_samples == {*catalogue.METRICS, *catalogue.GPU_METRICS}


@pytest.mark.integration
@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_finds_nothing_to_improve_in_any_of_it(everything: CollectorRegistry) -> None:
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=generate_latest(everything),
        capture_output=True,
        timeout=240,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize(("unit", "base"), [("ms", "seconds"), ("percent", "ratio"), ("MB", "bytes")])
def test_a_features_unit_is_a_base_unit(unit: str, base: str) -> None:
    with pytest.raises(pipemon.DeclarationError, match=f"feature 'took': unit '{unit}' is not .* use '{base}'"):
        Feature("took", float, unit=unit)
