"""Made-up series on which a condition holds or does not: the input of the generated rule tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from itertools import accumulate
from math import floor, log10
from typing import cast

from pipemon import catalogue as c
from pipemon.catalogue import Metric
from pipemon.generate.drift.measure import condition_references
from pipemon.generate.drift.shapes import moved
from pipemon.generate.expressions import limits
from pipemon.generate.promql import quote
from pipemon.generate.queries import calls_total, duration
from pipemon.spec import reads as r
from pipemon.spec.latency import bound_share
from pipemon.spec.model import ALL, Condition, FailureMode, Spec, Threshold
from pipemon.spec.own_series import STANDS_FOR, example_of
from pipemon.spec.signals import SIGNALS, Statistic
from pipemon.topology import OwnSeries
from pipemon.units import le

MARGIN = 0.01
"""How far beyond (or before) a threshold the test values lie, as a share of its distance from what is good."""

_HELD_MARGIN = 0.25
"""The same where the hour before is what is good: it may have a minute of the change in it."""

OVERRUN = 2.5
"""How long the slowest stage takes in the tests, over its budget."""

_LEAST = 20
_WORKERS = 40.0
_JOB = "serving"

CANARY_VERSION = "3"
OLD_VERSION = "0"
"""One that nobody calls any more where its age is looked at."""

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

    def add(self, metric: Metric, rate: float, suffix: str = "", **labels: str) -> None:
        """Let a series of `metric` rise by `rate` each second."""
        for name, share in self._series(metric, suffix, labels):
            self.rates[name] = share * rate
        if self.own is not None and not suffix:
            self.totals[metric] = rate
            self._settle()

    def _settle(self) -> None:
        """Let calls be what they are in all where some of them are counted by a series of failures, too."""
        told = {name for metric in self.totals if metric != c.STAGE_CALLS for name, _ in self._series(metric, "", {})}
        calls = dict(self._series(c.STAGE_CALLS, "", {}))
        free = {name: share for name, share in calls.items() if name not in told}
        rest = self.totals.get(c.STAGE_CALLS, 0.0) - sum(self.rates[name] for name in calls if name in told)
        for name, share in free.items():
            self.rates[name] = rest * share / sum(free.values())

    def add_first(self, metric: Metric, part: float, rate: float, suffix: str, **labels: str) -> None:
        """Let a `part` of what rises by `rate` in all be that of the first replicas: none of them is like the sum."""
        for name, share in self._series(metric, suffix, labels):
            here = min(share, part)
            self.rates[name] = here * rate
            part -= here

    def put(self, metric: Metric, value: float, **labels: str) -> None:
        """Let a gauge be `value` in sum."""
        for name, share in self._series(metric, "", labels):
            self.gauges[name] = share * value, 0.0

    def put_each(self, metric: Metric, largest: float, **labels: str) -> None:
        """Let a gauge be `largest` where most of the traffic is, and less elsewhere."""
        series = list(self._series(metric, "", labels))
        most = max(share for _, share in series)
        for name, share in series:
            self.gauges[name] = share / most * largest, 0.0

    def stamp(self, metric: Metric, age: float, **labels: str) -> None:
        """Let a gauge be the time of `age` seconds ago, at whatever time."""
        for name, _ in self._series(metric, "", labels):
            self.gauges[name] = -age, 1.0

    def _series(self, metric: Metric, suffix: str, labels: Mapping[str, str]) -> tuple[tuple[str, float], ...]:
        if self.own is not None and metric in STANDS_FOR.values():
            own = tuple(each for each in self.own if STANDS_FOR[each.key] == metric)
            return _spread_own(own, suffix, tuple(labels.items()), tuple(self.targets.items()), self.replicas)
        wanted = (metric.name, suffix, *labels.items())
        found = self._known.get(wanted)
        if found is None:
            found = self._known[wanted] = _spread(metric, suffix, labels, self)
        return found

    @cached_property
    def _known(self) -> dict[object, tuple[tuple[str, float], ...]]:
        return _known_of(tuple(self.place.items()), tuple(self.targets.items()), self.replicas)


# All cases of a failure mode have the same places, and these the same series.
@lru_cache(maxsize=200)
def _known_of(place: Labels, targets: Labels, replicas: Replicas) -> dict[object, tuple[tuple[str, float], ...]]:
    """Return what is known of a place's series: theirs by metric, suffix and labels."""
    return {}


def _spread(metric: Metric, suffix: str, labels: Mapping[str, str], world: World) -> tuple[tuple[str, float], ...]:
    """Return the series of a metric with their shares of the traffic."""
    found = []
    for other, instance, share in world.replicas or (((), "", 1.0),):
        known = {**world.place, **dict(other)}
        own = {name: known[name] for name in metric.labels if name in known}
        where = {"instance": instance} if instance else {}
        found.append((series(metric.name + suffix, {**own, **labels, **world.targets, **where}), share))
    return tuple(found)


@lru_cache(maxsize=2000)
def _spread_own(
    own: tuple[OwnSeries, ...], suffix: str, labels: Labels, targets: Labels, replicas: Replicas
) -> tuple[tuple[str, float], ...]:
    """Return the series of a service that stand for a metric with their shares of the traffic: the first has most."""
    found = []
    for serves, instance, share in replicas or (((), "", 1.0),):
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


def _exported(own: OwnSeries, label: str, value: str) -> str:
    """Return a label's value as the service writes it, such as a bound of 0.3 seconds in milliseconds."""
    if label != "le" or value == "+Inf":
        return value
    return value.removesuffix(".0") if own.unit == 1 else f"{float(value) / own.unit:.12g}"


def series(name: str, labels: Mapping[str, str]) -> str:
    """Print a series."""
    return f"{name}{{{','.join([f'{label}={quote(value)}' for label, value in labels.items()])}}}"


def compared_with(condition: Condition) -> float:
    """Return what the tests of a condition have its reference be."""
    threshold = condition.threshold
    assert threshold is not None
    if threshold.adds:
        step = threshold.high or 1.0
        return float(f"{min(4 * step, 0.5) if _is_share(condition) else 4 * step:.3g}")
    if SIGNALS[condition.signal].unit in ("ratio", "score"):
        return 0.2 if threshold.high is None else float(f"{min(0.05, 0.4 / threshold.high):.2g}")
    return 0.3 if SIGNALS[condition.signal].unit == "seconds" else 10.0


def _is_share(condition: Condition) -> bool:
    signal = SIGNALS[condition.signal]
    # Users can ask again more than once, so feedback per call has no upper end.
    return signal.unit == "ratio" and signal.argument != "feedback"


def tested_limits(spec: Spec, mode: FailureMode, condition: Condition) -> Threshold:
    """Return the threshold as a number, also where it is a multiple of what the tests have it be."""
    threshold = limits(spec, mode, condition)
    if threshold.reference is None:
        return threshold
    then = compared_with(condition)
    low, high = (
        None if end is None else then + end if threshold.adds else end * then for end in (threshold.low, threshold.high)
    )
    return Threshold(low, high, threshold.words)


def good_value(spec: Spec, mode: FailureMode, condition: Condition) -> float:
    """Return a value that is well within the threshold."""
    if condition.against is not None:
        return 0.0
    if condition.reference is not None and condition.reference.hold:
        return compared_with(condition)
    threshold = tested_limits(spec, mode, condition)
    low, high = threshold.low, threshold.high
    if low is not None and high is not None:
        return (low + high) / 2
    if high is not None:
        return high - (abs(high) / 2 or 1.0)
    assert low is not None
    step = abs(low) / 2 or 1.0
    return low + (min(step, (1 - low) / 2) if _is_share(condition) else step)


def needed_calls(spec: Spec, mode: FailureMode, condition: Condition) -> float:
    """Return how many calls a window must hold for a condition just beyond its threshold to be believed."""
    least = float(condition.min_count)
    if condition.min_events:
        share = tested_limits(spec, mode, condition).high
        assert share is not None
        least = max(least, condition.min_events / share)
    return least or _LEAST


def margin(condition: Condition) -> float:
    """Return how far beyond (or before) a threshold the test values of a condition lie."""
    past = condition.reference or condition.against
    return _HELD_MARGIN if past is not None and past.hold else MARGIN


def edge_values(spec: Spec, mode: FailureMode, condition: Condition) -> list[tuple[float, float]]:
    """Return, for each side of the threshold, a value just beyond it and one just before it."""
    threshold = tested_limits(spec, mode, condition)
    good = good_value(spec, mode, condition)
    found = []
    for edge in (threshold.low, threshold.high):
        if edge is not None:
            step = margin(condition) * (edge - good)
            # To few digits, so that nobody who prints a value has to round a tie.
            digits = -floor(log10(abs(step)))
            found.append((round(edge + step, digits), round(edge - step, digits)))
    return found


def measured(world: World, spec: Spec, mode: FailureMode, condition: Condition, value: float, rate: float) -> None:
    """Add the series on which a condition's value is `value`, at `rate` calls each second."""
    if condition.reference == ALL:
        together = tuple((dict(condition.labels) | {"slice": ""}).items())
        everyone = replace(condition, threshold=None, labels=together)
        measured(world, spec, mode, everyone, compared_with(condition), rate)
    signal = SIGNALS[condition.signal]
    reads = signal.in_slice if condition.slice and signal.in_slice is not None else signal.reads
    if isinstance(reads, r.Rate) and _of(mode, reads.counter, reads.whole) == calls_total(mode.stage):
        rate = value / (1 + world.skipped)
    world.add(calls_total(mode.stage), rate * (1 + world.skipped))
    if world.skipped:
        world.add(c.STAGE_SKIPPED, rate * world.skipped)
    match reads:
        case r.Share():
            _share(world, mode, reads, condition, value, rate)
        case r.Mean():
            _mean(world, reads, dict(condition.labels), value, rate)
        case r.Unaccounted():
            _items(world, value, rate)
        case r.Gauge():
            world.put(_of(mode, reads.gauge, reads.whole), value)
        case r.Busy():
            # More of them when there is more to do, so that it shows over how long they are counted.
            workers = _WORKERS * (1 + value / 5)
            world.put(reads.workers, workers)
            world.add(reads.durations, value * workers, "_sum")
        case r.Distance():
            _drifted(world, spec, mode, condition, value, rate)
        case r.Rate() if reads.counter != c.STAGE_CALLS:
            world.add(reads.counter, value)
        case r.Largest():
            world.put(_of(mode, reads.stage, reads.whole), 1.0, job=_JOB)
            world.put_each(reads.gauge, value, job=_JOB)
            # Another process at an instance of the same name.
            world.put(reads.gauge, 1.0, job="another")
        case r.Age():
            world.stamp(reads.timestamp, value)
            world.stamp(reads.timestamp, 1.5 * value, version=OLD_VERSION)
        case r.Quantile(whole=None):
            _quantile(world, spec, mode, reads.histogram, condition, value, rate)
        case r.Calibration():
            _calibration(world, reads, value, rate)
        case r.Estimated():
            _confidences(world, reads, dict(condition.labels), value, rate)
        case r.Quantile():
            _latency(world, spec, mode, condition, value, rate)


def _of(mode: FailureMode, metric: Metric, whole: Metric | None) -> Metric:
    return metric if mode.stage is not None or whole is None else whole


def _share(world: World, mode: FailureMode, reads: r.Share, condition: Condition, value: float, rate: float) -> None:
    events, labels = _of(mode, reads.events, reads.whole), dict(condition.labels)
    if mode.stage is None:
        labels |= dict.fromkeys(reads.whole_labels, c.OTHER)
    only = dict(reads.only)
    rest = dict.fromkeys((*reads.events_labels, *only), "another")
    if reads.of == events:
        world.add(events, max(0.0, 1 - value) * rate, **{**labels, **rest})
    elif reads.of is not None:
        world.add(reads.of, rate, **{label: labels[label] for label in reads.labels})
    world.add(events, value * rate, **labels, **only)
    if "slice" in only:
        # Some of the same, in a slice: it is not counted twice.
        world.add(events, value * rate / 2, **{**labels, "slice": "age=young"})


def _mean(world: World, reads: r.Mean, labels: Mapping[str, str], value: float, rate: float) -> None:
    if reads.signed is None:
        world.add(reads.histogram, rate, "_count", **labels)
        world.add(reads.histogram, value * rate, "_sum", **labels)
        return
    # A lower bucket shows whether the rule reads the one of all values.
    world.add(reads.histogram, rate / 4, "_bucket", le="1.0", **labels)
    world.add(reads.histogram, rate, "_bucket", le="+Inf", **labels)
    # Of either sign, so that both are seen to count.
    both = abs(value) / 2
    world.add(reads.signed, (max(value, 0.0) + both) * rate, sign="positive", **labels)
    world.add(reads.signed, (max(-value, 0.0) + both) * rate, sign="negative", **labels)


def _items(world: World, value: float, rate: float) -> None:
    """Let a share of the items that come in never come out; or, where that is too many, come out and never in."""
    elsewhere = {c.STAGE_ITEMS_NULL: 0.1, c.STAGE_ITEMS_FAILED: 0.2, c.STAGE_ITEMS_DROPPED: 0.3}
    for way, share in elsewhere.items():
        world.add(way, share * rate)
    rest = 1 - sum(elsewhere.values())
    world.add(c.STAGE_ITEMS_IN, rate)
    world.add(c.STAGE_ITEMS_OUT, (rest - value if value <= rest else rest + value) * rate)


def _calibration(world: World, reads: r.Calibration, value: float, rate: float) -> None:
    """Let the sure ones be right less often than they say, and the unsure ones more often: each counts."""
    for bin, stated, right in (("1.0", 0.95, 0.95 - value), ("0.1", 0.05, 0.05 + value)):
        world.add(reads.confidence, stated * rate / 2, confidence_bin=bin)
        for correct, share in (("yes", right), ("no", 1 - right)):
            world.add(reads.outcomes, share * rate / 2, confidence_bin=bin, correct=correct)


def _confidences(world: World, reads: r.Estimated, labels: Mapping[str, str], value: float, rate: float) -> None:
    """Let every other bin be always right, and the rest never: a share `value` of what is stated is in the former."""
    within = 0.0
    for number, bin in enumerate(c.CONFIDENCE_BINS):
        right = number % 2
        # Labels came for longer than the confidences are looked at.
        for correct, share in (("yes", right), ("no", 1 - right)):
            world.add(reads.outcomes, share * 10 * rate, confidence_bin=bin, correct=correct)
        within += (value if right else 1 - value) / 5
        world.add(reads.confidences, within * rate, "_bucket", le=bin, **labels)
    world.add(reads.confidences, rate, "_bucket", le="+Inf", **labels)


def _quantile(
    world: World, spec: Spec, mode: FailureMode, metric: Metric, condition: Condition, value: float, rate: float
) -> None:
    """Let an interpolated quantile be `value`: of two buckets, so many are in the lower."""
    # A trifle more, since times are printed cut off to whole seconds.
    value *= 1 + 2e-8
    threshold = tested_limits(spec, mode, condition)
    edge = threshold.low if threshold.high is None else threshold.high
    assert edge is not None
    reach = abs(edge) or 1.0
    lower, upper = edge - 0.7 * reach, edge + 19 * reach
    q = float(condition.argument[1:]) / 100
    inside = (value - lower) / (upper - lower)
    labels = dict(condition.labels)
    below = min(max(0.0, (q - inside) / (1 - inside)), 1.0)
    world.add_first(metric, below, rate, "_bucket", le=le(lower), **labels)
    for bound in (le(upper), "+Inf"):
        world.add(metric, rate, "_bucket", le=bound, **labels)


def _drifted(world: World, spec: Spec, mode: FailureMode, condition: Condition, value: float, rate: float) -> None:
    """Let a feature's values be so far from its baseline, with the baseline's bins."""
    reference = condition_references(spec, mode, condition)[0]
    if condition.against is not None:
        then = replace(reference.baseline, count=rate * max(mode.window, spec.timing.long_window))
        reference = replace(reference, baseline=then)
    shares = moved(reference, cast(Statistic, condition.argument), value, rate * mode.window)
    labels = dict(condition.labels)
    world.put(c.FEATURE_INFO, 1.0, **labels, unit=reference.baseline.unit, bins=reference.baseline.bins)
    if reference.has_categories:
        for category, share in zip(reference.bins, shares, strict=True):
            world.add(c.FEATURE_CATEGORY, share * rate, **labels, category=category)
        return
    for bound, within in zip(reference.bins, accumulate(shares), strict=True):
        world.add(c.FEATURE_VALUE, within * rate, "_bucket", **labels, le=bound)


def _latency(world: World, spec: Spec, mode: FailureMode, condition: Condition, value: float, rate: float) -> None:
    metric = duration(mode.stage)
    share = bound_share(spec, mode.stage, condition)
    if share is not None:
        # A smaller bound that no call meets shows whether the rule reads its own.
        world.add(metric, 0.0, "_bucket", le=le(share.bound * 0.37))
        world.add(metric, (1 - value) * rate, "_bucket", le=le(share.bound))
    else:
        # As many calls in the lower of two buckets as make the interpolated quantile `value`.
        high = tested_limits(spec, mode, condition).high
        assert high is not None
        q = float(condition.argument[1:]) / 100
        lower, upper = high * 0.4, high * 20
        inside = (value - lower) / (upper - lower)
        world.add_first(metric, max(0.0, (q - inside) / (1 - inside)), rate, "_bucket", le=le(lower))
        world.add(metric, rate, "_bucket", le=le(upper))
    world.add(metric, rate, "_bucket", le="+Inf")
    world.add(metric, rate, "_count")
    if mode.stage is None:
        _stage_times(world, spec, rate)


def _stage_times(world: World, spec: Spec, rate: float) -> None:
    """Let the first stage with a budget take longest for it: not in seconds, which are no measure of that."""
    budgets = [(stage.name, stage.budget) for stage in spec.stages if stage.budget]
    for index, (stage, budget) in enumerate(budgets):
        times = OVERRUN if not index else 0.9
        where = {"stage": stage, "track": "stable"}
        world.put_each(c.STAGE_BUDGET, budget, **where)
        world.add(c.STAGE_DURATION, rate, "_count", **where)
        world.add(c.STAGE_DURATION, rate * times * budget, "_sum", **where)
        if not index:
            # What a candidate in shadow takes is nobody's wait.
            world.add(c.STAGE_DURATION, rate, "_count", stage=stage, track="shadow")
