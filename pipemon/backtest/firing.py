"""An alert over time, as Prometheus' rule manager has it: pending, firing, kept firing, resolved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from pipemon.backtest.history import Labels


@dataclass(frozen=True)
class Firing:
    """An alert that fired: from the evaluation at `start` until that at `end`, the first without it (Unix times).

    `end` is None while it fires at the end of what is known. `held_by` names the failure modes that held its
    notification back; `notified` is when Alertmanager would have sent it, None if never.
    """

    labels: Labels
    start: float
    end: float | None
    held_by: tuple[str, ...] = ()
    notified: float | None = None

    def length(self, until: float) -> float:
        """Return how long it fired, in seconds, at most to the time `until`."""
        return (until if self.end is None else self.end) - self.start


def firings(
    times: Sequence[float], step: float, for_: float, keep_firing_for: float, until: float
) -> Iterator[tuple[float, float | None]]:
    """Yield (start, end) of each firing of an alert whose expression holds at `times`, evaluated every `step`.

    `times` ascend. As in Prometheus' `rules/alerting.go`: an alert fires at the first evaluation that is `for_`
    after the first of an unbroken row at which the expression held; once it has fired it resolves at the first
    evaluation that is `keep_firing_for` after the first at which it did not hold. `end` is None where that is
    beyond `until`, the last evaluation.
    """
    waits, keeps = evaluations_of(for_, step), evaluations_of(keep_firing_for, step)
    start, resolves = None, 0.0
    for first, last in _rows(times, step):
        if start is not None and first > resolves + step / 2:
            yield start, resolves
            start = None
        if start is None and first + waits * step <= last + step / 2:
            start = first + waits * step
        if start is not None:
            resolves = last + (1 + keeps) * step
    if start is not None:
        yield start, resolves if resolves <= until + step / 2 else None


def evaluations_of(seconds: float, step: float) -> int:
    """Return how many evaluations it takes for so many seconds to have passed."""
    return ceil(round(seconds / step, 6))


def _rows(times: Sequence[float], step: float) -> Iterator[tuple[float, float]]:
    """Yield the first and the last of each row of times that follow one another by a step."""
    if not times:
        return
    first = last = times[0]
    for time in times[1:]:
        if time - last > 1.5 * step:
            yield first, last
            first = time
        last = time
    yield first, last
