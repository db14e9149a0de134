"""Recording rules over a past that has only what was exported: asked for once, and the rest worked out here.

With all its rules inside of it a query for drift would be a megabyte, and read the same counts some fifty times. What
reads exported series alone is asked for, each once however many rules read it, and the rules' algebra is done here.
What rules read of their own past, and of their alerts, no query can say: it is worked out in blocks (`memory`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pipemon.backtest import vectors
from pipemon.backtest.history import Period, Points, fetched, in_pieces
from pipemon.backtest.memory import Lately, Memory
from pipemon.backtest.past import Own, Past
from pipemon.backtest.vectors import Column, Vector
from pipemon.generate.promql import Call, Expr, Recorded, Selector, text
from pipemon.generate.recordings import Recording
from pipemon.generate.rules import Alert
from pipemon.prometheus import Prometheus


def queries(past: Past, exprs: Sequence[Expr], period: Period, step: float) -> int:
    """Return how many queries `points` begins with."""
    return len(past.asked(exprs)) * sum(1 for _ in in_pieces(period, step))


def points(
    past: Past, prometheus: Prometheus, exprs: Sequence[Expr], period: Period, step: float, done: Callable[[], None]
) -> list[Points]:
    """Return the values of each expression each `step` seconds; calls `done` after each answer of the server.

    What reads its own past has none when the period begins. Raises UnavailableError.
    """
    found: list[Points] = [{} for _ in exprs]
    together = _together([past.own(expr) for expr in exprs], step)
    for each in in_pieces(period, step):
        piece = _Piece(past, prometheus, each, step, done)
        for places, memory in together:
            wanted = [exprs[at] for at in places]
            values = piece.in_blocks(wanted, memory) if memory else map(piece.vector, wanted)
            for at, vector in zip(places, values, strict=True):
                _add(found[at], piece.times, vector)
    return [{labels: row for labels, row in points.items() if row} for points in found]


def _together(reads: Sequence[Sequence[Own]], step: float) -> list[tuple[list[int], Memory | None]]:
    """Return the places of expressions, together those that read the past of the same, and what that recalls."""
    found: list[tuple[list[int], dict[object, Own]]] = []
    for at, own in enumerate(reads):
        places, of = [at], {_name(each): each for each in own}
        for other in [each for each in found if each[1].keys() & of.keys()]:
            found.remove(other)
            places, of = [*other[0], *places], {**other[1], **of}
        found.append((places, of))
    return [(places, _memory(of, step) if of else None) for places, of in found]


def _memory(own: dict[object, Own], step: float) -> Memory:
    rules = tuple(each for each in own.values() if isinstance(each, Recording))
    return Memory(rules, {each.name: Lately(each, step) for each in own.values() if isinstance(each, Alert)})


def _name(own: Own) -> object:
    return own.name if isinstance(own, Alert) else (own.name, own.static)


def _add(points: Points, times: Column, vector: Vector) -> None:
    for labels, column in vector.items():
        values = np.broadcast_to(column, times.shape)
        known = np.flatnonzero(~np.isnan(values))
        points.setdefault(labels, []).extend(zip(times[known].tolist(), values[known].tolist(), strict=True))


class _Piece:
    """The evaluations of a piece of a period, each rule worked out once."""

    def __init__(
        self, past: Past, prometheus: Prometheus, period: Period, step: float, done: Callable[[], None]
    ) -> None:
        self.past, self._prometheus, self._period, self._step, self._done = past, prometheus, period, step, done
        steps = round((period.end - period.start) / step)
        self.times: Column = period.start + step * np.arange(steps + 1, dtype=np.float64)
        self._recorded: dict[int, Vector] = {}
        self._answers: dict[str, Vector] = {}
        self._settled: dict[int, Vector | Column] = {}

    def vector(self, expr: Expr) -> Vector:
        """Return the values of an expression that reads nothing of its own past."""
        found = self._value(expr)
        assert isinstance(found, dict)
        return found

    def settled(self, expr: Expr) -> Vector | Column:
        """Return the same, worked out once for all blocks."""
        if id(expr) not in self._settled:
            self._settled[id(expr)] = self._value(expr)
        return self._settled[id(expr)]

    def in_blocks(self, exprs: Sequence[Expr], memory: Memory) -> list[Vector]:
        """Return the values of expressions that read their own past."""
        found: list[Vector] = [{} for _ in exprs]
        begin, length = 0, 1
        while begin < len(self.times):
            block = _Block(self, memory, begin, min(begin + length, len(self.times)))
            values = [block.vector(expr) for expr in exprs]
            right = block.end()
            for vector, here in zip(found, values, strict=True):
                for labels, column in vectors.some(here, 0, right).items():
                    vector.setdefault(labels, np.full(len(self.times), np.nan))[begin : begin + right] = column
            begin, length = begin + right, 2 * right
        return found

    def _value(self, expr: Expr | float) -> Vector | Column:
        if isinstance(expr, int | float):
            return np.array([float(expr)])
        if self.past.is_asked(expr):
            return self._answer(expr)
        if isinstance(expr, Recorded):
            return vectors.chosen(vectors.either(map(self._rule, self.past.rules(expr))), expr.matchers)
        return vectors.worked_out(expr, self._value, self.times)

    def _rule(self, rule: Recording) -> Vector:
        if id(rule) not in self._recorded:
            self._recorded[id(rule)] = vectors.labelled(self.vector(rule.expr), rule.static)
        return self._recorded[id(rule)]

    def _answer(self, expr: Expr) -> Vector:
        """Return what the server says of exported series."""
        if (wanted := text(expr)) not in self._answers:
            found, asked = Vector(), self.past.query(expr)
            for labels, points in fetched(self._prometheus, asked, self._period, self._step, self._done).items():
                at = np.round((np.array([time for time, _ in points]) - self.times[0]) / self._step).astype(int)
                found[labels] = np.full(len(self.times), np.nan)
                found[labels][at] = [value for _, value in points]
            self._answers[wanted] = found
        return self._answers[wanted]


class _Block:
    """Evaluations of a piece from `begin` to before `end`, of which those are right that `end` tells."""

    def __init__(self, piece: _Piece, memory: Memory, begin: int, end: int) -> None:
        self._piece, self._memory, self._begin, self._end = piece, memory, begin, end
        self._times = piece.times[begin:end]
        self._recorded: dict[int, Vector] = {}
        self._read = set[int]()

    def vector(self, expr: Expr) -> Vector:
        """Return the values of an expression."""
        found = self._value(expr)
        assert isinstance(found, dict)
        return found

    def end(self) -> int:
        """Take in the evaluations that are right, and return how many they are: one at least."""
        memory, count = self._memory, len(self._times)
        recorded = [self._rule(rule) for rule in memory.rules]
        held = {name: self.vector(lately.alert.expr) for name, lately in memory.alerts.items()}
        for rule, vector in zip(memory.rules, recorded, strict=True):
            if id(rule) in self._read:
                count = min(count, memory.right(rule, vector, count))
        for name, lately in memory.alerts.items():
            count = min(count, lately.right(held[name], self._times))
        for rule, vector in zip(memory.rules, recorded, strict=True):
            memory.go_on(rule, vector, count - 1)
        for name, lately in memory.alerts.items():
            lately.go_on(vectors.some(held[name], 0, count), self._times[:count])
        return count

    def _value(self, expr: Expr | float) -> Vector | Column:
        past = self._piece.past
        if isinstance(expr, int | float) or not past.reads_own(expr):
            found = np.array([float(expr)]) if isinstance(expr, int | float) else self._piece.settled(expr)
            return vectors.some(found, self._begin, self._end) if isinstance(found, dict) else self._some(found)
        if alert := past.alert(expr):
            return self._of_alert(self._memory.alerts[alert.name], expr)
        if isinstance(expr, Recorded):
            read = self._before if past.is_before(expr) else self._rule
            return vectors.chosen(vectors.either(map(read, past.rules(expr))), expr.matchers)
        return vectors.worked_out(expr, self._value, self._times)

    def _some(self, column: Column) -> Column:
        return column if len(column) == 1 else column[self._begin : self._end]

    def _of_alert(self, lately: Lately, expr: Expr) -> Vector:
        if isinstance(expr, Call):
            (series,) = expr.args
            assert isinstance(series, Selector)
            assert isinstance(series.window, int | float)
            found = lately.there(self._times, series.window, series.offset)
        else:
            assert isinstance(expr, Selector)
            series, found = expr, lately.since()
        return vectors.chosen(found, (matcher for matcher in series.matchers if matcher.label != "alertname"))

    def _before(self, rule: Recording) -> Vector:
        self._read.add(id(rule))
        return self._memory.last(rule)

    def _rule(self, rule: Recording) -> Vector:
        if id(rule) not in self._recorded:
            self._recorded[id(rule)] = vectors.labelled(self.vector(rule.expr), rule.static)
        return self._recorded[id(rule)]
