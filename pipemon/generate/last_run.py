"""Batch pipelines: what a gateway or a file keeps of the last run, read as it is, and how long ago it ended well."""

from __future__ import annotations

from dataclasses import replace

from pipemon import catalogue as c
from pipemon.generate.promql import Aggregate, Binary, Call, Expr, rebuilt, select
from pipemon.generate.queries import key, matchers, targets
from pipemon.generate.recordings import Measure, Recording, own
from pipemon.spec.model import Schedule, Spec
from pipemon.units import duration

_OF_COUNTERS = ("rate", "increase")


def of_last_run(expr: Expr) -> Expr:
    """Return an expression that reads counters as they are: each run's begin anew, and stay until the next.

    Over the window, not at the moment: one missing scrape is no missing value.
    """
    if isinstance(expr, Call) and expr.function in _OF_COUNTERS:
        expr = replace(expr, function="last_over_time")
    return rebuilt(expr, of_last_run)


def measured_on_last_run(found: Measure) -> Measure:
    """Return a measure of the last run's values."""
    return replace(
        found,
        value=_recording(found.value),
        count=None if found.count is None else _recording(found.count),
        parts=tuple(replace(part, recording=_recording(part.recording)) for part in found.parts),
        reference=None if found.reference is None else measured_on_last_run(found.reference),
        beside=tuple(map(measured_on_last_run, found.beside)),
    )


def _recording(made: Recording) -> Recording:
    return replace(made, expr=of_last_run(made.expr), parts=tuple(map(_recording, made.parts)))


def since_success(spec: Spec) -> Measure:
    """Return how long ago a run last ended well, also where a gateway has lost it since.

    It looks further back than a success may be ago: else one that was lost at once would never be too long ago.
    """
    assert spec.schedule is not None
    by, metric = key(spec, None), c.BATCH_LAST_SUCCESS
    series = select(metric, matchers(spec, metric), window=spec.schedule.remembered, target_labels=targets(spec))
    last = Aggregate("max", by, Call("last_over_time", (series,)))
    name = f"{'_'.join(by)}:pipemon_batch_since_success_seconds:min"
    return Measure(Recording(name, Binary("-", Call("time", ()), last), by), own(spec), None, ())


def overdue(spec: Spec) -> Expr:
    """Return whether the last success is longer ago than the schedule allows."""
    assert spec.schedule is not None
    found = since_success(spec)
    return Binary(">", found.value.series(*found.matchers), spec.schedule.limit)


def never_succeeded(spec: Spec) -> Expr:
    """Return whether no success was seen for as long as the schedule allows, by a Prometheus that looked so long."""
    assert spec.schedule is not None
    metric, limit = c.BATCH_LAST_SUCCESS, spec.schedule.limit
    series = select(metric, matchers(spec, metric), window=limit, target_labels=targets(spec))
    # Without this, one that has just begun to look would tell of a run that is not due yet.
    looked = Aggregate("group", (), select(c.UP, (), offset=limit))
    return Binary("and", Call("absent_over_time", (series,)), looked, on=())


def overdue_words(made: Schedule, stage: str | None) -> str:
    """Return what an alert says of runs that do not end well."""
    first = f"The last run did not call {stage}, or no run" if stage else "No run"
    return f"{first} of the pipeline ended well for {duration(made.limit)}."
