"""What rules read: what of it a Prometheus that never had them is asked for, and what is worked out of its answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pipemon import catalogue as c
from pipemon.backtest import vectors
from pipemon.generate.inlining import fits, inlined, own_past, parts, selectors, self_referring
from pipemon.generate.own_series import exported_series
from pipemon.generate.promql import Aggregate, Binary, Call, Expr, Raw, Recorded, Selector, text
from pipemon.generate.recordings import CONSTANT, Recording
from pipemon.generate.rules import Alert
from pipemon.spec.model import Spec

Own = Recording | Alert
"""What a rule can read of the evaluations before its own."""


class Past:
    """The rules of a pipeline, and the `alerts` whose past they may read."""

    def __init__(self, spec: Spec, recordings: Iterable[Recording], alerts: Iterable[Alert] = ()) -> None:
        self.spec = spec
        self._recordings = tuple(recordings)
        self._alerts = {alert.name: alert for alert in alerts}
        self._rules: dict[str, list[Recording]] = {}
        for each in self._recordings:
            self._rules.setdefault(each.name, []).append(each)
        self._own = frozenset(self_referring(self._recordings))
        # By identity: an expression's hash is of all that it is made of.
        self._changing: dict[int, tuple[Expr, bool]] = {}
        self._moved = frozenset[str]()
        while found := self._reading_own() - self._moved:
            self._moved |= found
            self._changing.clear()

    def _reading_own(self) -> frozenset[str]:
        left = (each for each in self._recordings if each.name not in self._moved)
        return frozenset(each.name for each in left if each.name in self._own or self.reads_own(each.expr))

    def reads_own(self, expr: Expr | float | str) -> bool:
        """Tell whether an expression reads, at once or through rules, what depends on evaluations before its own."""
        if isinstance(expr, int | float | str):
            return False
        if id(expr) not in self._changing:
            here = isinstance(expr, Recorded) and expr.name in self._moved
            found = here or self.alert(expr) is not None or any(map(self.reads_own, parts(expr)))
            self._changing[id(expr)] = expr, found
        return self._changing[id(expr)][1]

    def alert(self, expr: Expr) -> Alert | None:
        """Return the alert that series are of: whether it was there in a window, or since when it is."""
        match expr:
            case Call(function="present_over_time", args=(Selector(metric=c.ALERTS) as series,)):
                pass
            case Selector(metric=c.ALERTS_FOR_STATE, window=None, offset=0) as series:
                pass
            case _:
                return None
        name = next((matcher.value for matcher in series.matchers if matcher.label == "alertname"), "")
        return self._alerts.get(name)

    def is_before(self, expr: Expr) -> bool:
        """Tell whether an expression is what a rule recorded in the evaluation before."""
        return isinstance(expr, Recorded) and expr.name in self._own and expr.offset > 0 and expr.window is None

    def rules(self, series: Recorded) -> list[Recording]:
        """Return the rules that record series, as far as the labels that these set tell."""
        return [
            rule
            for rule in self._rules.get(series.name, ())
            if all(
                fits(value, matcher)
                for label, value in rule.static
                for matcher in series.matchers
                if matcher.label == label
            )
        ]

    def own(self, expr: Expr) -> list[Own]:
        """Return the rules and alerts whose evaluation before an expression reads, at once or through others."""
        found: dict[object, Own] = {}
        for each in self._reached(expr):
            if isinstance(each, Recorded) and each.name in self._own:
                found |= {(rule.name, rule.static): rule for rule in self.rules(each)}
            elif alert := self.alert(each):
                found[alert.name] = alert
        return list(found.values())

    def is_asked(self, expr: Expr) -> bool:
        """Tell whether the server is asked for an expression: of exported series alone, or beyond `vectors`."""
        if self.reads_own(expr):
            return False
        if own_past(expr):
            return not _is_worked_out(expr)
        return isinstance(expr, Raw) or next(selectors(expr), None) is not None

    def query(self, expr: Expr) -> Expr:
        """Return what the server is asked for an expression."""
        if own_past(expr):
            timing = self.spec.timing
            is_long = any(float(window) >= timing.long_window for window in _windows(expr))
            expr = inlined(expr, self._recordings, timing.long_interval if is_long else timing.scrape_interval)
        return exported_series(self.spec, expr)

    def asked(self, exprs: Iterable[Expr], *, needed: bool = False) -> tuple[Expr, ...]:
        """Return what the server is asked; only what is `needed` for a value, without what `unless` takes away."""
        every = (each for expr in exprs for each in self._reached(expr, needed=needed))
        return tuple({text(each): self.query(each) for each in every if self.is_asked(each)}.values())

    def can_tell(self, expr: Expr) -> bool:
        """Tell whether all that an expression reads can be asked for or worked out."""
        return all(map(self._knows, self._reached(expr)))

    def _knows(self, expr: Expr) -> bool:
        if self.is_asked(expr):
            return not own_past(self.query(expr))
        if self.is_before(expr) or self.alert(expr):
            return True
        # A kind of constant that no baseline has, as of bins that are rare, is no series.
        there = not isinstance(expr, Recorded) or expr.name in self._rules or expr.name.startswith(CONSTANT)
        return there and _is_worked_out(expr)

    def _reached(self, expr: Expr, *, needed: bool = False) -> Iterator[Expr]:
        """Yield an expression's parts, and those of the rules and alerts that it reads, down to what is asked for."""
        todo, seen = [expr], set[object]()
        while todo:
            each = todo.pop()
            yield each
            if self.is_asked(each):
                continue
            if isinstance(each, Recorded):
                for rule in self.rules(each):
                    if (rule.name, rule.static) not in seen:
                        seen.add((rule.name, rule.static))
                        todo.append(rule.expr)
            elif alert := self.alert(each):
                if alert.name not in seen:
                    seen.add(alert.name)
                    todo.append(alert.expr)
            else:
                inside = parts(each)[:1] if needed and isinstance(each, Binary) and each.op == "unless" else parts(each)
                todo += [part for part in inside if not isinstance(part, int | float | str)]


def _is_worked_out(expr: Expr) -> bool:
    """Tell whether an expression's value follows from those that it is made of."""
    match expr:
        case Recorded():
            return expr.window is None and not expr.offset
        case Aggregate():
            return expr.op in vectors.AGGREGATIONS
        case Binary():
            return expr.op in vectors.OPERATORS
        case Call():
            return expr.function in vectors.FUNCTIONS
        case _:
            return False


def _windows(expr: Expr | float | str) -> Iterator[float]:
    """Yield the windows, in seconds, in which recorded series are read."""
    if isinstance(expr, Recorded) and isinstance(expr.window, int | float):
        yield expr.window
    for part in parts(expr):
        yield from _windows(part)
