"""Every failure mode of a spec over a period: when each would have fired, and been told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from pipemon.backtest.evaluation import Past
from pipemon.backtest.firing import Firing, firings
from pipemon.backtest.history import Known, Period, Points, absent, aligned, fetched, known, pieces, recorded
from pipemon.backtest.notifying import notified
from pipemon.generate.cusum import beyond_limit
from pipemon.generate.expressions import narrowed
from pipemon.generate.inhibition import Plan
from pipemon.generate.inlining import inlined, own_past, selectors
from pipemon.generate.measures import measure
from pipemon.generate.own_series import exported_series
from pipemon.generate.promql import Expr, text
from pipemon.generate.rules import Alert, Rules
from pipemon.prometheus import Prometheus
from pipemon.spec.model import BOUNDS_DIFFER, FailureMode, Spec
from pipemon.spec.signals import CUSUM, OF_DRIFT


@dataclass(frozen=True)
class Replayed:
    """What became of each failure mode in a period.

    `recorded` tells what of it is known of those that read what their own rules recorded then. `absent` has, for
    those that never fired, what has no series; `unasked`, for those that no query can evaluate, the series of their
    own rules that they read. `judged` is for how long in all, in seconds, there was a verdict on drift.
    """

    plan: Plan
    period: Period
    known: Known
    fired: dict[str, tuple[Firing, ...]]
    absent: dict[str, list[str]]
    unasked: dict[str, tuple[str, ...]]
    recorded: dict[str, Known]
    judged: dict[str, float]


@dataclass(frozen=True)
class Evaluation:
    """An alert's expression without recording rules, and how often it is evaluated, in seconds.

    Of a cumulative sum it is what each step adds, since no query adds it up (`adds_up`). Of drift from a baseline it
    reads its rules, which would be a query of a megabyte: they are worked out here, it has a `past`. What any other has
    left of its own rules is what they alone can tell: their own past.
    """

    alert: Alert
    expr: Expr
    step: float
    adds_up: bool = False
    past: Past | None = None

    def holds_at(self, points: Sequence[tuple[float, float]]) -> list[float]:
        """Return when the expression holds, of the points (Unix time, value) of one of its series."""
        return list(beyond_limit(points, self.step)) if self.adds_up else [time for time, _ in points]


def evaluations(made: Rules, step: float | None = None) -> list[Evaluation]:
    """Return how each failure mode's alert is evaluated over the past: as its group is, or by a longer `step`."""
    found, past = [], Past(made.spec, made.recordings, made.alerts)
    for group in made.groups:
        every = max(group.interval, step or 0.0)
        for alert in group.alerts:
            if alert.mode.name == BOUNDS_DIFFER:
                continue
            if CUSUM in alert.mode.signals:
                # Each step is added once, however seldom the others are evaluated.
                found.append(Evaluation(alert, _added(made, alert), group.interval, adds_up=True))
            elif alert.mode.signals & OF_DRIFT and past.can_tell(alert.expr):
                found.append(Evaluation(alert, alert.expr, every, past=past))
            else:
                rules_in = () if alert.mode.signals & OF_DRIFT else made.recordings
                expr = exported_series(made.spec, inlined(alert.expr, rules_in, group.interval))
                found.append(Evaluation(alert, expr, every))
    return found


def _added(made: Rules, alert: Alert) -> Expr:
    (condition,) = alert.mode.conditions
    found = measure(made.spec, alert.mode, condition)
    assert found is not None
    (excess,) = found.value.parts
    each = narrowed(made.spec, alert.mode, replace(found, value=excess))
    return exported_series(made.spec, inlined(each, made.recordings, made.spec.interval(alert.mode)))


def queries(every: Sequence[Evaluation], period: Period) -> int:
    """Return how many queries `replay` begins with."""
    alone = sum(_pieces(each, period) for each in every if each.past is None)
    return alone + sum(
        past.queries([each.expr for each in several], aligned(period, several[0].step), several[0].step)
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
    unasked: dict[str, tuple[str, ...]] = {}
    recorded_of: dict[str, Known] = {}
    worked: dict[str, Points] = {}
    judged: dict[str, float] = {}
    for past, several in _worked_out(every):
        step, names = several[0].step, [each.alert.mode.name for each in several]
        exprs = [each.expr for each in several] + [_verdict(plan.spec, each.alert.mode) for each in several]
        found_here = past.points(prometheus, exprs, aligned(period, step), step, done)
        worked |= dict(zip(names, found_here, strict=False))
        for name, told in zip(names, found_here[len(names) :], strict=True):
            judged[name] = step * len({time for row in told.values() for time, _ in row})
    for each in every:
        mode, within = each.alert.mode, aligned(period, each.step)
        # Where the rules were loaded then, what they recorded is there.
        own = [] if each.past else [one for one in own_past(each.expr) if not one.name.startswith("pipemon:")]
        if missing := absent(prometheus, list(map(text, own)), within):
            unasked[mode.name] = tuple(missing)
            for _ in range(_pieces(each, period)):
                done()
            continue
        if own:
            recorded_of[mode.name] = recorded(prometheus, own[0], within, each.step)
        here = worked.get(mode.name)
        points = _since(began, fetched(prometheus, each.expr, within, each.step, done) if here is None else here)
        found = [
            Firing(labels, start, end)
            for labels, held in points.items()
            for start, end in firings(each.holds_at(held), each.step, mode.for_, mode.keep_firing_for, within.end)
        ]
        fired[mode.name] = tuple(sorted(found, key=lambda firing: (firing.start, firing.labels)))
        if not points:
            asked = each.past.asked([each.expr], needed=True) if each.past else [each.expr]
            every_read = (one for expr in asked for one in selectors(expr))
            read = dict.fromkeys(text(replace(one, window=None, offset=0.0)) for one in every_read)
            lacks[mode.name] = absent(prometheus, list(read), within)
    return Replayed(plan, period, there, notified(plan, fired, period.end), lacks, unasked, recorded_of, judged)


def _verdict(spec: Spec, mode: FailureMode) -> Expr:
    """Return what a failure mode of drift compares: there is none where too little is known."""
    found = measure(spec, mode, mode.conditions[0])
    assert found is not None
    return found.value.series(*found.matchers)


def _since(began: float, points: Points) -> Points:
    held = {labels: [point for point in row if point[0] >= began] for labels, row in points.items()}
    return {labels: row for labels, row in held.items() if row}
