"""Places of a rule test: the series of each, what they are called and how fast they rise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, reduce
from typing import Literal, NamedTuple

from pipemon import catalogue as c
from pipemon.catalogue import Metric
from pipemon.generate.promql import quote
from pipemon.spec.own_series import STANDS_FOR, example_of, example_unlike, picks
from pipemon.topology import OwnSeries

CANARY_VERSION = "3"
OLD_VERSION = "0"
"""One that nobody calls any more where its age is looked at."""
OLD_CALLS = 1e-3
"""Its calls, over the others: so few that shares of calls are what they are."""

Labels = tuple[tuple[str, str], ...]
Replicas = tuple[tuple[Labels, str, float], ...]
"""Labels, instance and share of the traffic of each: only a sum over all of them is right."""

MIXED: Replicas = (
    ((("version", "1"), ("track", "stable")), "a", 0.5),
    ((("version", "1"), ("track", "stable")), "b", 0.3),
    ((("version", "2"), ("track", "canary")), "c", 0.2),
)
STABLE_ONES: Replicas = (
    ((("version", "1"), ("track", "stable")), "a", 0.5),
    ((("version", "1"), ("track", "stable")), "b", 0.3),
    ((("version", "2"), ("track", "stable")), "c", 0.2),
)
"""Two stable versions at once, as in every rolling update."""
CANARIES: Replicas = (
    ((("version", CANARY_VERSION), ("track", "canary")), "d", 0.6),
    ((("version", CANARY_VERSION), ("track", "canary")), "e", 0.4),
)

_ONE: Replicas = (((), "", 1.0),)


class Move(NamedTuple):
    """What a metric does anywhere: its rise per second, or a gauge's value or age.

    `how`: `sum`, the replicas share it; `first`, it is a `part` of what rises by `value` in all, and that of the
    first replicas, so that none of them is like the sum; `gauge`, they share it; `largest`, it is the gauge's value
    where most of the traffic is, and less elsewhere; `age`, each has the time of so many seconds ago.
    """

    how: Literal["sum", "first", "gauge", "largest", "age"]
    metric: Metric
    suffix: str
    labels: Labels
    value: float
    part: float = 1.0


@dataclass
class World:
    """Counters of one place: `place` has its own labels, `targets` those that every series of it has.

    `rates` maps each counter to its rise per second, `gauges` each gauge to its value at time 0 and its rise.
    All is spread over `replicas`, if any. `skipped` calls come on top of the others. `own` are the series of a stage
    that is not decorated, in place of pipemon's.
    """

    place: Mapping[str, str]
    targets: Mapping[str, str]
    replicas: Replicas = ()
    skipped: float = 0.0
    own: tuple[OwnSeries, ...] | None = None
    rates: dict[str, float] = field(default_factory=dict)
    gauges: dict[str, tuple[float, float]] = field(default_factory=dict)
    totals: dict[Metric, float] = field(default_factory=dict)

    def add(self, metric: Metric, rate: float, **labels: str) -> None:
        """Let a series of `metric` rise by `rate` each second."""
        self.take([Move("sum", metric, "", tuple(labels.items()), rate)])

    def names(self, metric: Metric, suffix: str = "", **labels: str) -> list[str]:
        """Return what the series of a metric are called here."""
        return [name for name, _ in self._series(metric, suffix, tuple(labels.items()))]

    def take(self, moves: Iterable[Move]) -> None:
        """Let this happen here; the last that is said of a series holds."""
        rates, gauges = self.rates, self.gauges
        for how, metric, suffix, labels, value, part in moves:
            found = self._series(metric, suffix, labels)
            if how == "sum":
                for name, share in found:
                    rates[name] = share * value
                if self.own is not None and not suffix:
                    self.totals[metric] = value
                    self._settle()
            elif how == "first":
                rest = part
                for name, share in found:
                    here = min(share, rest)
                    rates[name] = here * value
                    rest -= here
            elif how == "age":
                for name, _ in found:
                    gauges[name] = -value, 1.0
            else:
                most = 1.0 if how == "gauge" else max(share for _, share in found)
                for name, share in found:
                    gauges[name] = share / most * value, 0.0

    def _settle(self) -> None:
        """Let calls be what they are in all where some of them are counted by a series of failures, too."""
        told = {
            name: share * total
            for metric, total in self.totals.items()
            if metric != c.STAGE_CALLS
            for name, share in self._series(metric, "", ())
        }
        # Calls may be told again, after the failures that are among them.
        self.rates |= told
        calls = dict(self._series(c.STAGE_CALLS, "", ()))
        free = {name: share for name, share in calls.items() if name not in told}
        among = told.keys() & (calls.keys() | set(self._among_calls))
        rest = self.totals.get(c.STAGE_CALLS, 0.0) - sum(self.rates[name] for name in among)
        for name, share in free.items():
            self.rates[name] = rest * share / sum(free.values())

    @cached_property
    def _among_calls(self) -> tuple[str, ...]:
        """Series of failures that a selector of calls picks, too: `requests_total` of `requests_total{code="500"}`."""
        own = self.own or ()
        calls = tuple(each for each in own if each.key == "calls")
        among = tuple(each for each in own if each.key != "calls" and any(picked(other, each) for other in calls))
        return tuple(name for name, _ in _spread_own(among, "", (), tuple(self.targets.items()), self.replicas))

    def _series(self, metric: Metric, suffix: str, labels: Labels) -> tuple[tuple[str, float], ...]:
        if self.own is not None and metric in STANDS_FOR.values():
            own = tuple(each for each in _told_apart(self.own) if STANDS_FOR[each.key] == metric)
            return _spread_own(own, suffix, labels, tuple(self.targets.items()), self.replicas)
        wanted = (metric.name, suffix, labels)
        found = self._known.get(wanted)
        if found is None:
            found = self._known[wanted] = _spread(metric, suffix, labels, self)
        return found

    @cached_property
    def _known(self) -> dict[object, tuple[tuple[str, float], ...]]:
        return _known_of(tuple(self.place.items()), tuple(self.targets.items()), self.replicas, self.own)


# All cases of a failure mode have the same places, and these the same series.
@lru_cache(maxsize=200)
def _known_of(
    place: Labels, targets: Labels, replicas: Replicas, own: tuple[OwnSeries, ...] | None
) -> dict[object, tuple[tuple[str, float], ...]]:
    """Return what is known of a place's series: theirs by metric, suffix and labels."""
    return {}


def _spread(metric: Metric, suffix: str, labels: Labels, world: World) -> tuple[tuple[str, float], ...]:
    """Return the series of a metric with their shares of the traffic."""
    found = []
    for other, instance, share in world.replicas or _ONE:
        known = {**world.place, **dict(other)}
        if world.own is not None:
            # What is counted beside a service knows no more of its versions.
            known = {label: value for label, value in known.items() if label != "version" or world.own[0].version}
            known["track"] = known["track"] if has_canary(world.own) else "stable"
        own = {name: known[name] for name in metric.labels if name in known}
        where = {"instance": instance} if instance else {}
        found.append((series(metric.name + suffix, {**own, **dict(labels), **world.targets, **where}), share))
    return tuple(found)


@lru_cache(maxsize=2000)
def _spread_own(
    own: tuple[OwnSeries, ...], suffix: str, labels: Labels, targets: Labels, replicas: Replicas
) -> tuple[tuple[str, float], ...]:
    """Return the series of a service that stand for a metric with their shares of the traffic: the first has most."""
    found = []
    for serves, instance, share in replicas or _ONE:
        version, track = (dict(serves).get(label, "") for label in ("version", "track"))
        # Where nothing tells a canary, its series are like the others.
        beside = [each for each in own if each.track == track] or own
        for index, each in enumerate(beside):
            known = {label: example_of(op, value) for label, op, value in (*each.matchers, *each.by_track)}
            # As exporters that are not Python's write whole bounds.
            known |= {label: _exported(each, label, value) for label, value in labels} | dict(targets)
            known |= {each.version: version} if each.version else {}
            part = (len(beside) - index) / (len(beside) * (len(beside) + 1) / 2)
            where = {"pod" if "instance" in known else "instance": instance} if instance else {}
            shown = {label: value for label, value in {**known, **where}.items() if value}
            found.append((series(each.name + suffix, shown), part * share / (each.unit if suffix == "_sum" else 1)))
    return tuple(found)


@lru_cache(maxsize=200)
def _told_apart(own: tuple[OwnSeries, ...]) -> tuple[OwnSeries, ...]:
    """Return series of which those of calls are no failures as well: with `code="OK"` beside `code!="OK"`."""
    return tuple(reduce(_unlike, own, each) if each.key == "calls" else each for each in own)


def _unlike(calls: OwnSeries, other: OwnSeries) -> OwnSeries:
    more = [matcher for matcher in other.matchers if matcher not in calls.matchers]
    if other.key == "calls" or not more or not picked(other, calls):
        return calls
    label, op, value = more[0]
    said = [each for each in calls.matchers if each[0] == label]
    guesses = (example_unlike(op, value), *(guess for each in said for guess in each[2].split("|")))
    free = (guess for guess in guesses if not picks(op, value, guess) and all(picks(*each[1:], guess) for each in said))
    rest = tuple(each for each in calls.matchers if each[0] != label)
    return calls._replace(matchers=(*rest, (label, "=", next(free, guesses[0]))))


def picked(own: OwnSeries, other: OwnSeries) -> bool:
    """Tell whether a selector picks the series that stands for another."""
    labels = {label: example_of(op, value) for label, op, value in (*other.matchers, *other.by_track)}
    every = (*own.matchers, *own.by_track)
    return own.name == other.name and all(picks(op, value, labels.get(label, "")) for label, op, value in every)


def has_canary(own: tuple[OwnSeries, ...] | None) -> bool:
    """Tell whether a service's series are told apart by track."""
    return any(each.track == "canary" for each in own or ())


def _exported(own: OwnSeries, label: str, value: str) -> str:
    """Return a label's value as the service writes it, such as a bound of 0.3 seconds in milliseconds."""
    if label != "le" or value == "+Inf":
        return value
    return value.removesuffix(".0") if own.unit == 1 else f"{float(value) / own.unit:.12g}"


def series(name: str, labels: Mapping[str, str]) -> str:
    """Print a series."""
    return f"{name}{{{','.join([f'{label}={quote(value)}' for label, value in labels.items()])}}}"
