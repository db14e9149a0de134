"""`above: auto`: the smallest threshold with which an alert would have kept within a budget."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import reduce
from math import ceil, floor, inf, log10

from pipemon.backtest.evaluation import points as worked_points
from pipemon.backtest.firing import firings
from pipemon.backtest.history import Period, Points, aligned, fetched
from pipemon.backtest.past import Past
from pipemon.generate.annotations import unit
from pipemon.generate.expressions import guards, narrowed
from pipemon.generate.inlining import inlined
from pipemon.generate.measures import measure
from pipemon.generate.own_series import exported_series
from pipemon.generate.promql import Binary, Expr, number
from pipemon.generate.recordings import Measure
from pipemon.prometheus import Prometheus
from pipemon.spec.model import FailureMode, Spec
from pipemon.spec.signals import DRIFT, SIGNALS
from pipemon.units import duration

MOST_OF_THE_TIME = 0.05
"""An alert that fires for a larger share of the time is none: a long firing would be but one within any budget."""

_LEAST_STEPS = 100
"""How finely thresholds are tried: the range of the values in at least so many steps, and under ten times as many."""

_PERIODS = {"day": 86400.0, "week": 7 * 86400.0, "month": 30 * 86400.0}
_BUDGET = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(?:/|a|per)\s*(day|week|month)")


@dataclass(frozen=True)
class Choice:
    """A threshold that was chosen: as it is written in the file, and how often its alert would have fired.

    `threshold` is None where there was no value to choose it by, and `why` says so.
    """

    mode: str
    key: str
    threshold: float | None
    written: str = ""
    count: int = 0
    why: str = ""


def budget(text: str) -> float:
    """Return `1/week`, `2 a day` or `1 per month` as alerts a second; raises ValueError."""
    match = _BUDGET.fullmatch(text.strip())
    if match is None or not float(match[1]):
        raise ValueError(f"{text!r} is no budget of alerts; write it as 1/week, 2/day or 1/month")
    return float(match[1]) / _PERIODS[match[2]]


def undecided(spec: Spec) -> list[FailureMode]:
    """Return the failure modes with a threshold that a backtest shall choose."""
    return [mode for mode in spec.failure_modes if mode.undecided]


def chosen(spec: Spec, mode: FailureMode, prometheus: Prometheus, period: Period, rate: float) -> Choice:
    """Return the threshold of an undecided failure mode within `rate` alerts a second. Raises UnavailableError."""
    (condition,) = mode.undecided
    assert condition.threshold is not None
    key = condition.threshold.auto
    step = spec.interval(mode)
    within = aligned(period, step)
    points = values(spec, mode, prometheus, within, step)
    if not points:
        return Choice(mode.name, key, None, why="it has no values in this time")
    held = {time for series in points.values() for time, _ in series}
    allowed = rate * len(held) * step
    # What chance explains is no drift, whatever the threshold.
    least = 0.0 if condition.signal == DRIFT else -inf
    threshold, count = smallest(points, key, step, mode.for_, mode.keep_firing_for, allowed, least)
    if SIGNALS[condition.signal].unit == "ratio" and condition.signal != "feedback" and not 0 < threshold < 1:
        return Choice(mode.name, key, None, why=f"it was {'all' if threshold >= 1 else 'none'} of the calls too often")
    return Choice(mode.name, key, threshold, amount(threshold, unit(spec, mode, condition)), count)


def values(spec: Spec, mode: FailureMode, prometheus: Prometheus, period: Period, step: float) -> Points:
    """Return what an undecided failure mode compares, where there is enough traffic. Raises UnavailableError."""
    (condition,) = mode.undecided
    if condition.signal != DRIFT:
        expr, found = _ready(spec, mode)
        asked = exported_series(spec, inlined(expr, found.recordings, spec.interval(mode)))
        return fetched(prometheus, asked, period, step, lambda: None)
    # It is watched beside the others of its stage, with which it shares the false alarms.
    decided = replace(mode, conditions=mode.undecided)
    spec = replace(spec, failure_modes=tuple(decided if each is mode else each for each in spec.failure_modes))
    expr, found = _ready(spec, decided)
    (points,) = worked_points(Past(spec, found.recordings), prometheus, [expr], period, step, lambda: None)
    return points


def _ready(spec: Spec, mode: FailureMode) -> tuple[Expr, Measure]:
    (condition,) = mode.undecided
    found = measure(spec, mode, condition)
    assert found is not None
    ready = reduce(lambda a, b: Binary("and", a, b), guards(spec, mode, found, condition), narrowed(spec, mode, found))
    return ready, found


def smallest(
    points: Points, key: str, step: float, for_: float, keep_firing_for: float, allowed: float, over: float = -inf
) -> tuple[float, int]:
    """Return the threshold, and how often the alert would have fired with it.

    It is the last of those, tried from beyond all values inwards, with which it would have fired at most `allowed`
    times, and at most a twentieth of the time: with the next one it would not, whatever further ones would do. It is
    `over` a number where one is given.
    """
    sign = -1.0 if key == "below" else 1.0
    series = [[(time, sign * value) for time, value in each] for each in points.values()]
    values = [value for each in series for _, value in each]
    least, most = min(values), max(values)
    size = _step(least, most)
    until = max(time for each in series for time, _ in each)
    last = floor(least / size) if over == -inf else max(floor(least / size), floor(over / size) + 1)
    best, count = max(ceil(most / size), last), 0
    for tried in range(best, last - 1, -1):
        fired = [
            (until + step if end is None else end) - start
            for each in series
            for start, end in firings(
                [time for time, value in each if value > tried * size], step, for_, keep_firing_for, until
            )
        ]
        if len(fired) > allowed or sum(fired) > MOST_OF_THE_TIME * len(values) * step:
            break
        best, count = tried, len(fired)
    return sign * float(format(best * size, ".12g")), count


def _step(least: float, most: float) -> float:
    spread = (most - least) or abs(most) or 1.0
    return float(10.0 ** floor(log10(spread / _LEAST_STEPS)))


def amount(value: float, unit: str) -> str:
    """Return a threshold as a team writes it."""
    if unit == "ratio":
        return f"{number(float(format(value * 100, '.10g')))}%"
    if unit in ("seconds", "age") and value > 0:
        return duration(value)
    return number(value)
