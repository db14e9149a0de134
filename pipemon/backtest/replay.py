"""Every failure mode of a spec over a period: when each would have fired, and been told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from pipemon.backtest.evaluation import points as worked_points
from pipemon.backtest.evaluation import queries as worked_queries
from pipemon.backtest.firing import Firing, firings
from pipemon.backtest.history import Known, Period, Points, absent, aligned, fetched, known, pieces
from pipemon.backtest.notifying import notified
from pipemon.backtest.past import Past
from pipemon.generate.inhibition import Plan
from pipemon.generate.inlining import inlined, selectors
from pipemon.generate.measures import measure
from pipemon.generate.own_series import exported_series
from pipemon.generate.promql import Expr, text
from pipemon.generate.rules import Alert, Rules
from pipemon.prometheus import Prometheus
from pipemon.spec.model import BOUNDS_DIFFER, FailureMode, Spec
from pipemon.spec.signals import CUSUM, OF_DRIFT, SHIFT

_ADDING_UP = {CUSUM, SHIFT}


@dataclass(frozen=True)
class Replayed:
    """What became of each failure mode in a period.

    `absent` has, for those that never fired, what has no series. `judged` is for how long in all, in seconds, there was
    a verdict on drift.
    """

    plan: Plan
    period: Period
    known: Known
    fired: dict[str, tuple[Firing, ...]]
    absent: dict[str, list[str]]
    judged: dict[str, float]


@dataclass(frozen=True)
class Evaluation:
    """An alert's expression without recording rules, and how often it is evaluated, in seconds.

    Of drift, which would be a query of a megabyte, and of what rules make of their own past, which no query can say, it
    reads its rules: they are worked out here, it has a `past`.
    """

    alert: Alert
    expr: Expr
    step: float
    past: Past | None = None


def evaluations(made: Rules, step: float | None = None) -> list[Evaluation]:
    """Return how each failure mode's alert is evaluated over the past: as its group is, or by a longer `step`."""
    found, past = [], Past(made.spec, made.recordings, made.alerts)
    for group in made.groups:
        for alert in group.alerts:
            if alert.mode.name == BOUNDS_DIFFER:
                continue
            # What adds up adds each step once, however seldom the others are evaluated.
            every = group.interval if alert.mode.signals & _ADDING_UP else max(group.interval, step or 0.0)
            if alert.mode.signals & OF_DRIFT or past.reads_own(alert.expr):
                found.append(Evaluation(alert, alert.expr, every, past))
            else:
                expr = exported_series(made.spec, inlined(alert.expr, made.recordings, group.interval))
                found.append(Evaluation(alert, expr, every))
    return found


def queries(every: Sequence[Evaluation], period: Period) -> int:
    """Return how many queries `replay` begins with."""
    alone = sum(_pieces(each, period) for each in every if each.past is None)
    return alone + sum(
        worked_queries(past, [each.expr for each in several], aligned(period, several[0].step), several[0].step)
        for past, several in _worked_out(every)
    )


def _pieces(each: Evaluation, period: Period) -> int:
    return pieces(aligned(period, each.step), each.step)


def _worked_out(every: Sequence[Evaluation]) -> Iterator[tuple[Past, list[Evaluation]]]:
    """Yield the evaluations that are worked out here, together those that read the same at the same times."""
    by_step: dict[float, list[Evaluation]] = {}
    for each in every:
        if each.past is not None:
            by_step.setdefault(each.step, []).append(each)
    for several in by_step.values():
        assert several[0].past is not None
        yield several[0].past, several


def replay(
    plan: Plan, prometheus: Prometheus, period: Period, every: list[Evaluation], done: Callable[[], None]
) -> Replayed:
    """Return what became of each failure mode; calls `done` after each query. Raises UnavailableError.

    Before the first sample of the pipeline nobody looked at it: its silence then is no absence.
    """
    there = known(plan.spec, prometheus, period)
    began = period.start if there.since is None else there.since
    fired: dict[str, tuple[Firing, ...]] = {}
    lacks: dict[str, list[str]] = {}
    worked: dict[str, Points] = {}
    judged: dict[str, float] = {}
    for past, several in _worked_out(every):
        step, names = several[0].step, [each.alert.mode.name for each in several]
        drifting = [each.alert.mode for each in several if each.alert.mode.signals & OF_DRIFT]
        exprs = [each.expr for each in several] + [_verdict(plan.spec, mode) for mode in drifting]
        found_here = worked_points(past, prometheus, exprs, aligned(period, step), step, done)
        worked |= dict(zip(names, found_here, strict=False))
        for mode, told in zip(drifting, found_here[len(names) :], strict=True):
            judged[mode.name] = step * len({time for row in told.values() for time, _ in row})
    for each in every:
        mode, within = each.alert.mode, aligned(period, each.step)
        here = worked.get(mode.name)
        points = _since(began, fetched(prometheus, each.expr, within, each.step, done) if here is None else here)
        found = [
            Firing(labels, start, end)
            for labels, held in points.items()
            for start, end in firings(
                [time for time, _ in held], each.step, mode.for_, mode.keep_firing_for, within.end
            )
        ]
        fired[mode.name] = tuple(sorted(found, key=lambda firing: (firing.start, firing.labels)))
        if not points:
            asked = each.past.asked([each.expr], needed=True) if each.past else [each.expr]
            every_read = (one for expr in asked for one in selectors(expr))
            read = dict.fromkeys(text(replace(one, window=None, offset=0.0)) for one in every_read)
            lacks[mode.name] = absent(prometheus, list(read), within)
    return Replayed(plan, period, there, notified(plan, fired, period.end), lacks, judged)


def _verdict(spec: Spec, mode: FailureMode) -> Expr:
    """Return what a failure mode of drift compares: there is none where too little is known."""
    found = measure(spec, mode, mode.conditions[0])
    assert found is not None
    return found.value.series(*found.matchers)


def _since(began: float, points: Points) -> Points:
    held = {labels: [point for point in row if point[0] >= began] for labels, row in points.items()}
    return {labels: row for labels, row in held.items() if row}
