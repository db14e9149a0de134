"""For tests of code that pipemon monitors: what was counted, read back.

    from pipemon.testing import samples, since

    def test_silence_is_null():
        counted = since()
        find_speech(silence)
        assert counted("pipemon_stage_null_outputs_total", stage="vad") == 1

With pytest, `pytest_plugins = ["pipemon.pytest_plugin"]` in the top conftest.py gives the same as fixtures.
Where nothing is to be counted at all, set PIPEMON_DISABLED=1 before the code is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.samples import Sample

from pipemon.catalogue import GPU_METRICS, METRICS, Metric
from pipemon.errors import nearest
from pipemon.instrument.exporter import exporter_for
from pipemon.instrument.switch import disabled

_BY_SERIES: dict[str, Metric] = {
    series: metric for metric in (*METRICS.values(), *GPU_METRICS.values()) for series in metric.series
}


def samples(name: str, /, *, registry: CollectorRegistry | None = None, **labels: str) -> float:
    """Return the value of a series, every call that ended counted: `samples("pipemon_stage_calls_total", stage="vad")`.

    Of several series that have these labels, as for two versions, the sum; 0 where there is none yet.

    Raises LookupError for a series that pipemon does not export, a label that it does not have, and a pipeline,
    stage, feature, score or candidate that the registry does not know: a misspelt name is never 0.
    """
    return sum(value for _, value in _matching(name, labels, registry))


def since(registry: CollectorRegistry | None = None) -> Callable[..., float]:
    """Return a function like `samples` that leaves out what was counted until now; gauges it reads as they are."""
    registry = REGISTRY if registry is None else registry
    before = {_key(sample): sample.value for sample in _collected(registry)}

    def counted(name: str, /, **labels: str) -> float:
        found = _matching(name, labels, registry)
        gauge = _BY_SERIES[name].type == "gauge"
        return sum(value - (0 if gauge else before.get(key, 0)) for key, value in found)

    return counted


@contextmanager
def declarations_undone(registry: CollectorRegistry | None = None) -> Iterator[None]:
    """Forget at the end which functions were decorated meanwhile.

    So each test may decorate its own function as the same stage of one pipeline; elsewhere that is a
    DeclarationError while the pipeline lives. Series stay; `since` leaves out what they counted before.
    """
    if disabled():
        yield
        return
    with exporter_for(REGISTRY if registry is None else registry).claims_undone():
        yield


_DECLARED = {"pipeline", "stage", "feature", "score", "candidate"}
"""Labels whose values are names that the code declares."""

_Key = tuple[str, frozenset[tuple[str, str]]]


def _key(sample: Sample) -> _Key:
    return sample.name, frozenset(sample.labels.items())


def _collected(registry: CollectorRegistry) -> Iterator[Sample]:
    return (sample for family in registry.collect() for sample in family.samples if sample.name in _BY_SERIES)


def _matching(name: str, labels: dict[str, str], registry: CollectorRegistry | None) -> list[tuple[_Key, float]]:
    metric = _BY_SERIES.get(name)
    if metric is None:
        raise LookupError(f"pipemon exports no series {name!r}{nearest(name, _BY_SERIES)}")
    known = (*metric.labels, "le") if name.endswith("_bucket") else metric.labels
    for label in labels:
        if label not in known:
            raise LookupError(f"{name} has no label {label!r}, only {', '.join(known)}{nearest(label, known)}")
    collected = list(_collected(REGISTRY if registry is None else registry))
    for label in _DECLARED & labels.keys():
        values = sorted({sample.labels[label] for sample in collected if label in sample.labels})
        if labels[label] not in values:
            there = f"there is {', '.join(values)}" if values else "nothing is declared there"
            why = "; PIPEMON_DISABLED is set" if disabled() else nearest(labels[label], values)
            raise LookupError(f"the registry knows no {label} {labels[label]!r}; {there}{why}")
    return [
        (_key(sample), sample.value)
        for sample in collected
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
