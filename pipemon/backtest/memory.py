"""What rules know of the evaluation before: what they recorded then, and since when their own alerts are there.

The reference of `the hour before` stays as it was while its alert is there, and sums add to themselves. Such rules are
worked out in blocks of evaluations, as though all that they read of their own past stayed as it was before the block.
So the evaluations up to the first in which something changed are right, and the next block begins after it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from pipemon.backtest.firing import evaluations_of
from pipemon.backtest.history import Labels
from pipemon.backtest.vectors import Column, Vector
from pipemon.generate.recordings import Recording
from pipemon.generate.rules import Alert

Held = NDArray[np.bool_]


@dataclass(frozen=True)
class _State:
    """An alert of one set of labels: since when it is pending or firing, in Unix seconds, None where it is neither.

    `left` counts the evaluations for which it is kept firing still.
    """

    since: float | None = None
    fires: bool = False
    left: int = 0


@dataclass
class Lately:
    """When an alert was there, pending or firing, evaluated each `step` seconds.

    As Prometheus' `rules/alerting.go` has it, which tells rules of it from the next evaluation on.
    """

    alert: Alert
    step: float
    _states: dict[Labels, _State] = field(default_factory=dict)
    _spans: dict[Labels, list[tuple[float, float]]] = field(default_factory=dict)

    def there(self, times: Column, window: float, offset: float) -> Vector:
        """Return 1 where it was there in a window up to `offset` ago, taken to stay as it is."""
        ends = np.minimum(times - offset, times - self.step)
        found = {}
        for labels, spans in self._spans.items():
            firsts, lasts = (np.array(each) for each in zip(*spans, strict=True))
            if labels in self._states:
                lasts[-1] = np.inf
            at = np.searchsorted(lasts, times - offset - window, "left")
            seen = (at < len(lasts)) & (firsts[np.minimum(at, len(lasts) - 1)] <= ends)
            found[labels] = np.where(seen, 1.0, np.nan)
        return found

    def since(self) -> Vector:
        """Return since when it is there, taken to stay as it is."""
        return {labels: np.array([state.since]) for labels, state in self._states.items() if state.since is not None}

    def right(self, held: Vector, times: Column) -> int:
        """Return how many evaluations of a block are right, where its expression holds so: up to its first change."""
        count = len(times)
        for labels in {*held, *self._states}:
            there, _ = self._advanced(labels, _holds(held, labels, times), times)
            count = min(count, _unchanged(there == (labels in self._states)) + 1)
        return count

    def go_on(self, held: Vector, times: Column) -> None:
        """Take in the evaluations of a block that are right."""
        for labels in {*held, *self._states}:
            there, state = self._advanced(labels, _holds(held, labels, times), times)
            spans = self._spans.setdefault(labels, [])
            for time in times[there].tolist():
                if spans and time - spans[-1][1] < 1.5 * self.step:
                    spans[-1] = (spans[-1][0], time)
                else:
                    spans.append((time, time))
            if not spans:
                del self._spans[labels]
            self._states.pop(labels, None)
            if state.since is not None:
                self._states[labels] = state

    def _advanced(self, labels: Labels, held: Held, times: Column) -> tuple[Held, _State]:
        """Return at which times it is there, and what it is after them."""
        state = self._states.get(labels, _State())
        if state.since is None and not held.any():
            return held, state
        waits = evaluations_of(self.alert.mode.for_, self.step)
        keeps = evaluations_of(self.alert.mode.keep_firing_for, self.step)
        there = np.zeros(len(times), bool)
        for at, (time, holds) in enumerate(zip(times.tolist(), held.tolist(), strict=True)):
            if holds:
                since = time if state.since is None else state.since
                state = _State(since, state.fires or time >= since + (waits - 0.5) * self.step, keeps)
            else:
                state = replace(state, left=state.left - 1) if state.fires and state.left else _State()
            there[at] = state.since is not None
        return there, state


@dataclass
class Memory:
    """What `rules` recorded in the evaluation before, and what is known of `alerts`, by their names."""

    rules: tuple[Recording, ...]
    alerts: dict[str, Lately]
    _last: dict[int, dict[Labels, float]] = field(default_factory=dict)

    def last(self, rule: Recording) -> Vector:
        """Return what a rule recorded in the evaluation before, taken to stay as it is."""
        return {labels: np.array([value]) for labels, value in self._last.get(id(rule), {}).items()}

    def right(self, rule: Recording, recorded: Vector, count: int) -> int:
        """Return how many evaluations of a block of `count` are right, where a rule that reads itself records this."""
        last = self._last.get(id(rule), {})
        for labels in {*recorded, *last}:
            column, before = recorded.get(labels, np.array([np.nan])), last.get(labels, np.nan)
            same = np.isnan(column) if np.isnan(before) else column == before
            count = min(count, _unchanged(np.broadcast_to(same, (max(count, len(column)),))) + 1)
        return count

    def go_on(self, rule: Recording, recorded: Vector, at: int) -> None:
        """Take in what a rule recorded in the last evaluation of a block that is right."""
        values = {labels: float(column[at if len(column) > 1 else 0]) for labels, column in recorded.items()}
        self._last[id(rule)] = {labels: value for labels, value in values.items() if not np.isnan(value)}


def _unchanged(same: Held) -> int:
    """Return how many of the first values are true."""
    return len(same) if same.all() else int(np.argmin(same))


def _holds(held: Vector, labels: Labels, times: Column) -> Held:
    return np.broadcast_to(~np.isnan(held.get(labels, np.array([np.nan]))), times.shape)
