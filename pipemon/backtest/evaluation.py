"""Recording rules over a past that has only what was exported: asked for once, and the rest worked out here.

With all its rules inside of it a query for drift would be a megabyte, and read the same counts some fifty times. What
reads exported series alone is asked for, each once however many rules read it, and the rules' algebra is done here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import inf

import numpy as np

from pipemon import catalogue as c
from pipemon.backtest import vectors
from pipemon.backtest.firing import firings
from pipemon.backtest.history import Labels, Period, Points, fetched, in_pieces
from pipemon.backtest.vectors import Column, Vector
from pipemon.generate.inlining import own_past, parts, selectors, self_referring
from pipemon.generate.own_series import exported_series
from pipemon.generate.promql import Aggregate, Binary, Call, Expr, Recorded, Selector, Window, text
from pipemon.generate.recordings import CONSTANT, Recording
from pipemon.generate.rules import Alert
from pipemon.prometheus import Prometheus
from pipemon.spec.model import Spec

_SOON = 3600.0
"""What rules ask of their own alerts as of so long ago, in seconds, is worked out; of later ones it is not."""


class Past:
    """What a pipeline's rules would have recorded; what these ask of its `alerts` is when those would have been there.

    That is what drift from the same hours before asks: what was wrong is nothing to compare with.
    """

    def __init__(self, spec: Spec, recordings: Iterable[Recording], alerts: Iterable[Alert] = ()) -> None:
        self.spec = spec
        self._alerts = {alert.name: alert for alert in alerts}
        self._rules: dict[str, list[Recording]] = {}
        for each in recordings:
            self._rules.setdefault(each.name, []).append(each)
        self._own = frozenset(self_referring(each for several in self._rules.values() for each in several))

    def can_tell(self, expr: Expr) -> bool:
        """Tell whether all that an expression reads can be asked for or worked out: no rule's own past is in it."""
        return all(self._knows(each) for each in self._reached(expr))

    def asked(self, exprs: Iterable[Expr], *, needed: bool = False) -> tuple[Expr, ...]:
        """Return what is asked of the server; only what is `needed` for a value, without what `unless` takes away."""
        every = (each for expr in exprs for each in self._reached(expr, needed=needed))
        return tuple({text(each): exported_series(self.spec, each) for each in every if self.is_asked(each)}.values())

    def queries(self, exprs: Sequence[Expr], period: Period, step: float) -> int:
        """Return how many queries `points` begins with."""
        return len(self.asked(exprs)) * sum(1 for _ in self._pieces(exprs, period, step))

    def points(
        self, prometheus: Prometheus, exprs: Sequence[Expr], period: Period, step: float, done: Callable[[], None]
    ) -> list[Points]:
        """Return the values of each expression each `step` seconds; calls `done` after each answer of the server.

        Raises UnavailableError.
        """
        found: list[Points] = [{} for _ in exprs]
        own = {self.name(series): _Present() for series in self._asked_of_alerts(exprs)}
        for piece in self._pieces(exprs, period, step):
            worked = _Piece(self, prometheus, piece, step, done, own)
            for points, expr in zip(found, exprs, strict=True):
                for labels, column in worked.vector(expr).items():
                    known = np.flatnonzero(~np.isnan(np.broadcast_to(column, worked.times.shape)))
                    values = np.broadcast_to(column, worked.times.shape)[known].tolist()
                    points.setdefault(labels, []).extend(zip(worked.times[known].tolist(), values, strict=True))
            for name, present in own.items():
                present.add(worked.times, worked.vector(self._alerts[name].expr))
                present.settle(self._alerts[name], step, piece.end)
        return [{labels: row for labels, row in points.items() if row} for points in found]

    def rules(self, name: str) -> Sequence[Recording]:
        """Return the rules that record series of a name."""
        return self._rules.get(name, ())

    def is_own(self, expr: Expr | float | str) -> bool:
        """Tell whether an expression is whether one of the alerts was there."""
        match expr:
            case Call(function="present_over_time", args=(Selector(metric=c.ALERTS) as series,)):
                return self.name(series) in self._alerts and series.offset >= _SOON
            case _:
                return False

    def name(self, series: Selector) -> str:
        """Return the name of the alert that series of alerts are of."""
        return next((matcher.value for matcher in series.matchers if matcher.label == "alertname"), "")

    def _asked_of_alerts(self, exprs: Iterable[Expr]) -> list[Selector]:
        every = (each for expr in exprs for each in self._reached(expr) if isinstance(each, Call) and self.is_own(each))
        return [series for each in every for series in each.args if isinstance(series, Selector)]

    def _pieces(self, exprs: Iterable[Expr], period: Period, step: float) -> Iterator[Period]:
        """Yield the pieces of a period: what a rule asks of an alert was in one before."""
        most = min((series.offset for series in self._asked_of_alerts(exprs)), default=inf)
        return in_pieces(period, step, most)

    def is_asked(self, expr: Expr) -> bool:
        """Tell whether an expression reads exported series, and neither a rule's nor one of the alerts."""
        return not own_past(expr) and next(selectors(expr), None) is not None and not self._has_own(expr)

    def _has_own(self, expr: Expr | float | str) -> bool:
        return self.is_own(expr) or any(map(self._has_own, parts(expr)))

    def _reached(self, expr: Expr, *, needed: bool = False) -> Iterator[Expr]:
        """Yield an expression's parts, and those of the rules that it reads, down to what is asked for."""
        todo, seen = [expr], set[str]()
        while todo:
            each = todo.pop()
            yield each
            if isinstance(each, Recorded):
                if each.name not in seen and each.name not in self._own:
                    seen.add(each.name)
                    todo += [rule.expr for rule in self._rules.get(each.name, ())]
            elif not self.is_asked(each) and not self.is_own(each):
                inside = parts(each)[:1] if needed and isinstance(each, Binary) and each.op == "unless" else parts(each)
                todo += [part for part in inside if not isinstance(part, int | float | str)]

    def _knows(self, expr: Expr) -> bool:
        match expr:
            case Recorded():
                # A kind of constant that no baseline has, as of bins that are rare, is no series.
                here = expr.name in self._rules or expr.name.startswith(CONSTANT)
                return here and expr.name not in self._own and expr.window is None and not expr.offset
            case _ if self.is_asked(expr) or self.is_own(expr):
                return True
            case Aggregate():
                return expr.op in vectors.AGGREGATIONS
            case Binary():
                return expr.op in vectors.OPERATORS
            case Call():
                return expr.function in vectors.FUNCTIONS
            case _:
                return False


class _Present:
    """When an alert was there, pending or firing, by its labels: Unix times that ascend."""

    def __init__(self) -> None:
        self._held: dict[Labels, list[float]] = {}
        self._times: dict[Labels, Column] = {}

    def add(self, times: Column, expr: Vector) -> None:
        """Take in when its expression held."""
        for labels, column in expr.items():
            held = times[~np.isnan(np.broadcast_to(column, times.shape))]
            self._held.setdefault(labels, []).extend(held.tolist())

    def settle(self, alert: Alert, step: float, until: float) -> None:
        """Add when it was kept firing."""
        for labels, held in self._held.items():
            kept = firings(held, step, alert.mode.for_, alert.mode.keep_firing_for, until)
            spans = [np.arange(start, until + step / 2 if end is None else end - step / 2, step) for start, end in kept]
            self._times[labels] = np.unique(np.concatenate([np.array(held), *spans]))

    def within(self, ends: Column, window: Window | None) -> Vector:
        """Return 1 where it was there in a window up to each end."""
        assert isinstance(window, float)
        found = {}
        for labels, times in self._times.items():
            seen = np.searchsorted(times, ends, "right") > np.searchsorted(times, ends - window, "left")
            found[labels] = np.where(seen, 1.0, np.nan)
        return found


class _Piece:
    """The evaluations of a piece of a period, each rule worked out once."""

    def __init__(
        self,
        past: Past,
        prometheus: Prometheus,
        period: Period,
        step: float,
        done: Callable[[], None],
        own: Mapping[str, _Present],
    ) -> None:
        self._own = own
        self._past, self._prometheus, self._period, self._step, self._done = past, prometheus, period, step, done
        steps = round((period.end - period.start) / step)
        self.times: Column = period.start + step * np.arange(steps + 1, dtype=np.float64)
        self._recorded: dict[str, Vector] = {}
        self._answers: dict[str, Vector] = {}

    def vector(self, expr: Expr) -> Vector:
        found = self._value(expr)
        assert isinstance(found, dict)
        return found

    def _value(self, expr: Expr | float) -> Vector | Column:
        match expr:
            case int() | float():
                return np.array([float(expr)])
            case Recorded():
                return vectors.chosen(self._of_rules(expr.name), expr.matchers)
            case Call(args=(Selector() as series,)) if self._past.is_own(expr):
                return self._own[self._past.name(series)].within(self.times - series.offset, series.window)
            case _ if self._past.is_asked(expr):
                return self._answer(expr)
            case Aggregate():
                return vectors.aggregated(expr, self.vector(expr.expr))
            case Binary():
                left, right = self._value(expr.left), self._value(expr.right)
                return vectors.joined(expr, left, right)
            case Call(function="time"):
                return self.times
            case Call(function="vector", args=(number,)):
                assert not isinstance(number, str)
                column = self._value(number)
                assert not isinstance(column, dict)
                return {(): column}
            case Call(function="label_replace", args=(inner, *texts)):
                assert not isinstance(inner, int | float | str)
                return vectors.relabelled(self.vector(inner), *map(str, texts))
            case Call(args=(inner, *numbers)):
                assert not isinstance(inner, int | float | str)
                return vectors.each(expr.function, self.vector(inner), [float(text(number)) for number in numbers])
        raise ValueError(f"{text(expr)} can't be worked out")

    def _of_rules(self, name: str) -> Vector:
        if name not in self._recorded:
            self._recorded[name] = vectors.either(
                vectors.labelled(self.vector(rule.expr), rule.static) for rule in self._past.rules(name)
            )
        return self._recorded[name]

    def _answer(self, expr: Expr) -> Vector:
        """Return what the server says of exported series."""
        if (wanted := text(expr)) not in self._answers:
            found, asked = Vector(), exported_series(self._past.spec, expr)
            for labels, points in fetched(self._prometheus, asked, self._period, self._step, self._done).items():
                at = np.round((np.array([time for time, _ in points]) - self.times[0]) / self._step).astype(int)
                found[labels] = np.full(len(self.times), np.nan)
                found[labels][at] = [value for _, value in points]
            self._answers[wanted] = found
        return self._answers[wanted]
