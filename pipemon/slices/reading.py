"""Scores and feedback by slice, as Prometheus has them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pipemon import catalogue as c
from pipemon.baseline.histograms import spread
from pipemon.generate.own_series import exported_series
from pipemon.generate.promql import Expr, Matcher, text
from pipemon.generate.queries import Sums, total
from pipemon.prometheus import Prometheus, Sample
from pipemon.slices.ranking import Slice, normal, wilson
from pipemon.spec.model import Spec

_SLICED = Matcher("slice", "!=", "")


@dataclass(frozen=True)
class Measured:
    """The slices of one measure at a stage; `name` is a score's, or "" for feedback: the share that is not good."""

    stage: str
    name: str
    slices: tuple[Slice, ...]


def scores(spec: Spec, prometheus: Prometheus, window: float, end: float) -> Iterator[Measured]:
    """Yield the mean of each score by slice over the `window` seconds before `end`. Raises UnavailableError."""
    by = ("stage", "score", "slice")
    sums = Sums(spec, by, window)

    def ask(metric: c.Metric, *more: Matcher, le: tuple[str, ...] = (), suffix: str = "") -> list[Sample]:
        expr: Expr = total(sums.also_by(*le), metric, _SLICED, *more, function="increase", suffix=suffix)
        return prometheus.query(text(exported_series(spec, expr)), end)

    def summed(sign: str) -> dict[tuple[str, ...], float]:
        return {_key(sample, by): sample.value for sample in ask(c.QUALITY_SUM, Matcher("sign", "=", sign))}

    positive, negative = summed("positive"), summed("negative")
    buckets: dict[tuple[str, ...], list[tuple[float, float]]] = {}
    for sample in ask(c.QUALITY_SCORE, le=("le",), suffix="_bucket"):
        buckets.setdefault(_key(sample, by), []).append((float(sample.labels["le"]), sample.value))
    found: dict[tuple[str, str], list[Slice]] = {}
    for key, counts in sorted(buckets.items()):
        counts.sort()
        count = counts[-1][1]
        if count > 0 and key in positive:
            mean = (positive[key] - negative.get(key, 0.0)) / count
            stage, score, name = key
            found.setdefault((stage, score), []).append(Slice(name, count, normal(mean, spread(counts), count)))
    for (stage, score), slices in found.items():
        yield Measured(stage, score, tuple(slices))


def feedback(spec: Spec, prometheus: Prometheus, window: float, end: float, good: frozenset[str]) -> Iterator[Measured]:
    """Yield the share of feedback that is none of the `good` signals, by slice. Raises UnavailableError.

    Calls are not counted by slice, so it is a share of what was told: a stage of which nobody tells good things has
    no slices.
    """
    by = ("stage", "signal", "slice")
    told: dict[str, dict[str, dict[str, float]]] = {}
    increase = total(Sums(spec, by, window), c.FEEDBACK, _SLICED, function="increase")
    for sample in prometheus.query(text(exported_series(spec, increase)), end):
        stage, signal, name = _key(sample, by)
        told.setdefault(stage, {}).setdefault(name, {})[signal] = sample.value
    for stage, names in sorted(told.items()):
        if any(signals.get(signal, 0.0) > 0 for signals in names.values() for signal in good):
            yield Measured(stage, "", tuple(_slice(name, signals, good) for name, signals in sorted(names.items())))
        elif any(value > 0 for signals in names.values() for value in signals.values()):
            yield Measured(stage, "", ())


def _slice(name: str, signals: dict[str, float], good: frozenset[str]) -> Slice:
    count = sum(signals.values())
    bad = sum(value for signal, value in signals.items() if signal not in good)
    return Slice(name, count, wilson(bad, count or 1.0))


def _key(sample: Sample, by: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sample.labels.get(label, "") for label in by)
