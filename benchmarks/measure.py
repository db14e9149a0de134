"""How costs are measured: variants of the same work in turn, many rounds, and the median round's ratio.

Variants that take turns share what the machine does meanwhile, so ratios hold where nanoseconds don't.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import process_time

Work = Callable[[], object]
Times = dict[str, list[float]]
"""Seconds of each round, by variant."""


@dataclass(frozen=True)
class Effort:
    """How much is measured: `calls` a variant and round, `many` calls where memory or a scrape is looked at."""

    calls: int
    rounds: int
    many: int


FULL = Effort(calls=8_000, rounds=21, many=1_000_000)
QUICK = Effort(calls=64, rounds=1, many=500)


@dataclass(frozen=True)
class Row:
    """One line of the table: what was measured, in `unit`, and the least or most that it should be."""

    what: str
    measured: float
    unit: str = "x"
    at_most: float | None = None
    at_least: float | None = None
    detail: str = ""

    @property
    def met(self) -> bool | None:
        """Tell whether the target is met; None without one."""
        if self.at_most is not None:
            return self.measured <= self.at_most
        return None if self.at_least is None else self.measured >= self.at_least


def take_turns(variants: Mapping[str, Work], rounds: int, clock: Callable[[], float] = process_time) -> Times:
    """Return the seconds of every variant in every round; by default of all threads' processor time."""
    for work in variants.values():
        work()
    times: Times = {name: [] for name in variants}
    for _ in range(rounds):
        for name, work in variants.items():
            begun = clock()
            work()
            times[name].append(clock() - begun)
    return times


def added(times: Times, name: str, bare: str) -> list[float]:
    """Return what a variant took longer than the bare one, in seconds of each round."""
    return [own - its for own, its in zip(times[name], times[bare], strict=True)]


def ratio(own: list[float], other: list[float]) -> float:
    """Return the median of the rounds' ratios."""
    return statistics.median(mine / its for mine, its in zip(own, other, strict=True))


def nanoseconds(seconds: list[float], calls: int) -> float:
    """Return the median round's time for a call."""
    return statistics.median(seconds) / calls * 1e9
