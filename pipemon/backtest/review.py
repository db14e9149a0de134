"""What alerts did in the past, as Prometheus recorded it: which never fired, fired most, or only fired together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from pipemon import catalogue as c
from pipemon.backtest.firing import Firing, firings
from pipemon.backtest.history import Period, aligned, fetched
from pipemon.backtest.report import times, weekly, whole
from pipemon.generate.promql import Aggregate, Expr, Matcher, select
from pipemon.generate.queries import targets
from pipemon.prometheus import Prometheus
from pipemon.spec.model import Spec

_WEEK = 7 * 86400.0
_TOGETHER = 2
"""How often two alerts must have fired before it says something that they did so together."""


@dataclass(frozen=True)
class Reviewed:
    """The firings of each failure mode that fired in a period, by its name, whatever file it was in."""

    spec: Spec
    period: Period
    fired: Mapping[str, tuple[Firing, ...]]


def step_of(spec: Spec) -> float:
    """Return how finely a past is looked at, in seconds: no rule is evaluated less often."""
    return spec.timing.long_interval


def history(spec: Spec) -> Expr:
    """Return what tells which failure modes fire."""
    which = (Matcher("pipeline", "=", spec.pipeline), Matcher("alertstate", "=", "firing"))
    selected = tuple(Matcher(label, "=", value) for label, value in spec.select)
    series = select(c.ALERTS, (*which, *selected), target_labels=targets(spec))
    return Aggregate("max", (*spec.keep, "failure_mode"), series)


def reviewed(spec: Spec, prometheus: Prometheus, period: Period, done: Callable[[], None]) -> Reviewed:
    """Return what fired in a period; calls `done` after each query. Raises UnavailableError."""
    step = step_of(spec)
    within = aligned(period, step)
    found: dict[str, list[Firing]] = {}
    for labels, points in fetched(prometheus, history(spec), within, step, done).items():
        name = dict(labels).get("failure_mode", "")
        for start, end in firings([time for time, _ in points], step, 0.0, 0.0, within.end):
            found.setdefault(name, []).append(Firing(labels, start, end))
    return Reviewed(spec, period, {name: tuple(sorted(f, key=lambda each: each.start)) for name, f in found.items()})


def review(found: Reviewed) -> Iterator[str]:
    """Yield lines for a team that wants to prune: what never fired, what fired most, what fired only together."""
    spec, period, fired = found.spec, found.period, found.fired
    yield f"{spec.pipeline}: {whole(period.end - period.start)}"
    if not fired:
        yield "  nothing fired; if its rules were loaded in this time, all is quiet, or nothing is seen"
        return
    names = [mode.name for mode in spec.measurable]
    never = [name for name in names if name not in fired]
    if never:
        yield f"  never fired: {', '.join(never)}"
        yield "    could they? `pipemon drill` makes one fire; `pipemon backtest` says what has no series"
    yield "  fired most:"
    rows = sorted(fired.items(), key=lambda item: (-len(item[1]), item[0]))
    for name, firings_of in rows:
        total = sum(firing.length(period.end) for firing in firings_of)
        weeks = (period.end - period.start) / _WEEK
        gone = "" if name in names else ", in the file no more"
        yield f"    {name}: {times(len(firings_of))}, {weekly(len(firings_of), weeks)}, {whole(total)} in all{gone}"
    pairs = together(fired)
    if pairs:
        yield "  always fired together:"
        for one, other in pairs:
            yield f"    {one} and {other}: one of them may do, or `leads_to` says which is the cause"


def together(fired: Mapping[str, Sequence[Firing]]) -> list[tuple[str, str]]:
    """Return the pairs of which neither ever fired without the other, each at least twice."""
    often = {name: each for name, each in sorted(fired.items()) if len(each) >= _TOGETHER}
    return [
        (one, other)
        for one, other in combinations(often, 2)
        if _covered(often[one], often[other]) and _covered(often[other], often[one])
    ]


def _covered(ones: Sequence[Firing], others: Sequence[Firing]) -> bool:
    return all(any(_overlap(one, other) for other in others) for one in ones)


def _overlap(one: Firing, other: Firing) -> bool:
    before = one.end is not None and one.end <= other.start
    return not before and not (other.end is not None and other.end <= one.start)
