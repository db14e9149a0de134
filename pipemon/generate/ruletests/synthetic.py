"""Made-up series on which a condition holds or does not: the input of the generated rule tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import cast

from pipemon import catalogue as c
from pipemon.catalogue import Metric
from pipemon.generate.drift.constants import Reference
from pipemon.generate.drift.measure import condition_references
from pipemon.generate.drift.shapes import Shares, moved
from pipemon.generate.levels import counter_of
from pipemon.generate.queries import calls_total, duration
from pipemon.generate.ruletests.distributions import (
    CUT,
    bounds_of,
    has_quantiles,
    point,
    quantile_of,
    read_bounds,
    shares_at,
    shares_below,
)
from pipemon.generate.ruletests.places import OLD_VERSION, Move, World
from pipemon.generate.ruletests.values import compared_with, is_estimated, mean_of_all, tells_labels, tested_limits
from pipemon.spec import reads as r
from pipemon.spec.latency import bound_share
from pipemon.spec.model import ALL, Condition, FailureMode, Spec
from pipemon.spec.signals import Statistic, signal_in
from pipemon.spec.subject import by_subject, quantity, reads_of
from pipemon.units import le

OVERRUN = 2.5
"""How long the slowest stage takes in the tests, over its budget."""

_WORKERS = 40.0
_JOB = "serving"
_CALIBRATED = r.Calibration(c.CALIBRATION, c.CALIBRATION_CONFIDENCE)


class Moves(list[Move]):
    """What happens at a place, whatever it is called; `skipped` calls come on top of the others."""

    def __init__(self, skipped: float = 0.0) -> None:
        super().__init__()
        self.skipped = skipped

    def add(self, metric: Metric, rate: float, suffix: str = "", **labels: str) -> None:
        """Let a series of `metric` rise by `rate` each second."""
        self.append(Move("sum", metric, suffix, tuple(labels.items()), rate))

    def add_first(self, metric: Metric, part: float, rate: float, suffix: str, **labels: str) -> None:
        """Let a `part` of what rises by `rate` in all be that of the first replicas: none of them is like the sum."""
        self.append(Move("first", metric, suffix, tuple(labels.items()), rate, part))

    def put(self, metric: Metric, value: float, **labels: str) -> None:
        """Let a gauge be `value` in sum."""
        self.append(Move("gauge", metric, "", tuple(labels.items()), value))

    def put_each(self, metric: Metric, largest: float, **labels: str) -> None:
        """Let a gauge be `largest` where most of the traffic is, and less elsewhere."""
        self.append(Move("largest", metric, "", tuple(labels.items()), largest))

    def stamp(self, metric: Metric, age: float, **labels: str) -> None:
        """Let a gauge be the time of `age` seconds ago, at whatever time."""
        self.append(Move("age", metric, "", tuple(labels.items()), age))


def moves_of(spec: Spec, mode: FailureMode, values: tuple[float, ...], rate: float, skipped: float = 0.0) -> Moves:
    """Return what happens where the conditions of a failure mode have these values, at `rate` calls each second."""
    moves = Moves(skipped)
    for group in by_subject(mode.conditions):
        told = [(mode.conditions[at], values[at]) for at in group]
        first, value = told[0]
        # Of conditions of the same, the first tells it for all; but buckets are made for the values of each, unless the
        # rules read no others than a service's own.
        buckets = has_quantiles(first) and not read_bounds(spec, mode.stage)
        if len(told) > 1 and (buckets or len({quantity(each) for each, _ in told}) > 1):
            _at_once(moves, spec, mode, told, rate)
        else:
            _told(moves, spec, mode, first, value, rate)
    return moves


def measured(world: World, spec: Spec, mode: FailureMode, condition: Condition, value: float, rate: float) -> None:
    """Add the series on which a condition's value is `value`, at `rate` calls each second."""
    moves = Moves(world.skipped)
    _told(moves, spec, mode, condition, value, rate)
    world.take(moves)


def _told(moves: Moves, spec: Spec, mode: FailureMode, condition: Condition, value: float, rate: float) -> None:
    """Add the series on which a condition's value is `value`, at `rate` calls each second."""
    if condition.reference == ALL and mean_of_all(mode, condition) is None:
        together = tuple((dict(condition.labels) | {"slice": ""}).items())
        everyone = replace(condition, threshold=None, labels=together)
        _told(moves, spec, mode, everyone, compared_with(mode, condition), rate)
    signal = signal_in(spec, condition.signal)
    reads = signal.in_slice if condition.slice and signal.in_slice is not None else signal.reads
    if isinstance(reads, r.Rate) and _of(mode, reads.counter, reads.whole) == calls_total(mode.stage):
        rate = value / (1 + moves.skipped)
    if isinstance(reads, r.Counted):
        # Of a run of so many seconds.
        metric, value = counter_of(spec, mode.stage, reads), value / mode.window
        rate = value / (1 + moves.skipped) if metric == reads.undecorated else rate
    _calls(moves, mode, rate)
    match reads:
        case r.Share(events=c.CALIBRATION) if is_estimated(mode):
            _wrong_and_off(moves, _CALIBRATED, value, 0.0, rate)
        case r.Share():
            _share(moves, mode, reads, condition, value, rate)
        case r.Mean():
            _mean(moves, mode, reads, condition, value, rate)
        case r.Unaccounted():
            _items(moves, value, rate)
        case r.Gauge():
            moves.put(_of(mode, reads.gauge, reads.whole), value, **_exported_by(mode))
        case r.Busy():
            # More of them when there is more to do, so that it shows over how long they are counted.
            workers = _WORKERS * (1 + value)
            moves.put(reads.workers, workers)
            moves.add(reads.durations, value * workers, "_sum")
        case r.Distance():
            _drifted(moves, spec, mode, condition, value, rate)
        case r.Rate() if reads.counter != c.STAGE_CALLS:
            moves.add(reads.counter, value)
        case r.Counted() if metric == reads.counter:
            moves.add(metric, value)
        case r.Largest():
            _largest(moves, mode, reads, value)
        case r.Age():
            moves.stamp(reads.timestamp, value)
            moves.stamp(reads.timestamp, 1.5 * value, version=OLD_VERSION)
        case r.Quantile(whole=None):
            _quantile(moves, spec, mode, reads.histogram, condition, value, rate)
        case r.Calibration():
            _calibration(moves, mode, reads, value, rate)
        case r.Estimated():
            _confidences(moves, reads, dict(condition.labels), value, rate, labelled=not tells_labels(mode))
        case r.Quantile():
            _latency(moves, spec, mode, condition, value, rate)


def _at_once(moves: Moves, spec: Spec, mode: FailureMode, told: Sequence[tuple[Condition, float]], rate: float) -> None:
    """Add the one distribution on which several conditions have their values: a histogram, or shares of categories."""
    _calls(moves, mode, rate)
    values = {type(reads): (reads, value) for reads, value in ((reads_of(each), value) for each, value in told)}
    if r.Calibration in values:
        (reads, off), (_, wrong) = values[r.Calibration], values[r.Share]
        assert isinstance(reads, r.Calibration)
        _wrong_and_off(moves, reads, wrong, off, rate)
        return
    reads = reads_of(told[0][0])
    if isinstance(reads, r.Share):
        left = 1.0
        for condition, value in {quantity(each): (each, value) for each, value in told}.values():
            left -= value
            _share(moves, mode, reads, condition, value, rate, max(0.0, left))
        return
    assert isinstance(reads, r.Quantile)
    metric, labels = _of(mode, reads.histogram, reads.whole), dict(told[0][0].labels)
    points = sorted({point(spec, mode, condition, value) for condition, value in told})
    if bounds := list(read_bounds(spec, mode.stage)) if reads.whole is not None else []:
        shares = shares_at(points, bounds) or [1.0] * len(bounds)
    else:
        bounds = bounds_of(spec, mode, [condition for condition, _ in told])
        shares = shares_below(points, bounds)
    for bound, share in zip(bounds, shares, strict=True):
        moves.add(metric, share * rate, "_bucket", le=le(bound), **labels)
    moves.add(metric, rate, "_bucket", le="+Inf", **labels)
    if reads.whole is not None:
        _counted_times(moves, spec, mode, rate)


def _calls(moves: Moves, mode: FailureMode, rate: float) -> None:
    moves.add(calls_total(mode.stage), rate * (1 + moves.skipped))
    if moves.skipped:
        moves.add(c.STAGE_SKIPPED, rate * moves.skipped)


def _of(mode: FailureMode, metric: Metric, whole: Metric | None) -> Metric:
    return metric if mode.stage is not None or whole is None else whole


def _exported_by(mode: FailureMode) -> dict[str, str]:
    """Return the label of the process that exports calls in progress, where its memory is looked at, too."""
    return {"job": _JOB} if any(isinstance(reads_of(each), r.Largest) for each in mode.conditions) else {}


def _share(
    moves: Moves,
    mode: FailureMode,
    reads: r.Share,
    condition: Condition,
    value: float,
    rate: float,
    left: float | None = None,
) -> None:
    """Let events be a share `value`, and what is `left` of the whole be other events: all of it, where nobody says."""
    events, labels = _of(mode, reads.events, reads.whole), dict(condition.labels)
    if mode.stage is None:
        labels |= dict.fromkeys(reads.whole_labels, c.OTHER)
    only = dict(reads.only)
    rest = dict.fromkeys((*reads.events_labels, *only), "another")
    if reads.of == events:
        left = max(0.0, 1 - value) if left is None else left
        moves.add(events, left * rate, **{**labels, **rest})
    elif reads.of is not None:
        moves.add(reads.of, rate, **{label: labels[label] for label in reads.labels})
    moves.add(events, value * rate, **labels, **only)
    if "slice" in only:
        # Some of the same, in a slice: it is not counted twice.
        moves.add(events, value * rate / 2, **{**labels, "slice": "age=young"})


def _mean(moves: Moves, mode: FailureMode, reads: r.Mean, condition: Condition, value: float, rate: float) -> None:
    labels = dict(condition.labels)
    if reads.signed is None:
        moves.add(reads.histogram, rate, "_count", **labels)
        moves.add(reads.histogram, value * rate, "_sum", **labels)
        return
    if not any(_reads_buckets(other, condition) for other in mode.conditions):
        # A lower bucket shows whether the rule reads the one of all values.
        moves.add(reads.histogram, rate / 4, "_bucket", le="1.0", **labels)
    moves.add(reads.histogram, rate, "_bucket", le="+Inf", **labels)
    # Of either sign, so that both are seen to count.
    both = abs(value) / 2
    moves.add(reads.signed, (max(value, 0.0) + both) * rate, sign="positive", **labels)
    moves.add(reads.signed, (max(-value, 0.0) + both) * rate, sign="negative", **labels)


def _reads_buckets(condition: Condition, other: Condition) -> bool:
    """Tell whether a condition reads the buckets of another's feature, so that it says what is in them."""
    return condition.labels == other.labels and isinstance(reads_of(condition), r.Quantile | r.Estimated)


def _items(moves: Moves, value: float, rate: float) -> None:
    """Let a share of the items that come in never come out; or, where that is too many, come out and never in."""
    elsewhere = {c.STAGE_ITEMS_NULL: 0.1, c.STAGE_ITEMS_FAILED: 0.2, c.STAGE_ITEMS_DROPPED: 0.3}
    for way, share in elsewhere.items():
        moves.add(way, share * rate)
    rest = 1 - sum(elsewhere.values())
    moves.add(c.STAGE_ITEMS_IN, rate)
    moves.add(c.STAGE_ITEMS_OUT, (rest - value if value <= rest else rest + value) * rate)


def _largest(moves: Moves, mode: FailureMode, reads: r.Largest, value: float) -> None:
    """Let the largest process be so large, and another at an instance of the same name not."""
    if not any(isinstance(reads_of(other), r.Gauge) for other in mode.conditions):
        moves.put(_of(mode, reads.stage, reads.whole), 1.0, job=_JOB)
    moves.put_each(reads.gauge, value, job=_JOB)
    moves.put(reads.gauge, 1.0, job="another")


def _calibration(moves: Moves, mode: FailureMode, reads: r.Calibration, value: float, rate: float) -> None:
    """Let the sure ones be right less often than they say, and the unsure ones more often: each counts."""
    if is_estimated(mode):
        _wrong_and_off(moves, reads, 0.5, value, rate)
        return
    # As sure as it takes to be so far off, and nothing is further off than by all.
    value = min(value, 1.0)
    sure, unsure = max(0.95, value), min(0.05, 1 - value)
    for bin, stated, right in (("1.0", sure, sure - value), ("0.1", unsure, unsure + value)):
        moves.add(reads.confidence, stated * rate / 2, confidence_bin=bin)
        for correct, share in (("yes", right), ("no", 1 - right)):
            moves.add(reads.outcomes, share * rate / 2, confidence_bin=bin, correct=correct)


def _wrong_and_off(moves: Moves, reads: r.Calibration, wrong: float, off: float, rate: float) -> None:
    """Let those of one bin be right, and less sure, and a share `wrong` in another bin be wrong, and surer."""
    off = min(off, 1.0)
    for bin, share, stated in (("1.0", 1 - wrong, 1 - off), ("0.1", wrong, off)):
        moves.add(reads.confidence, stated * share * rate, confidence_bin=bin)
        for correct, part in (("yes", share * (bin == "1.0")), ("no", share * (bin == "0.1"))):
            moves.add(reads.outcomes, part * rate, confidence_bin=bin, correct=correct)


def _confidences(
    moves: Moves, reads: r.Estimated, labels: Mapping[str, str], value: float, rate: float, *, labelled: bool
) -> None:
    """Let every other bin be always right, and the rest never: a share `value` of what is stated is in the former.

    What is `labelled` by another condition is right in the highest bin, and wrong in the lowest.
    """
    if not labelled:
        for bin in c.CONFIDENCE_BINS[:-1]:
            moves.add(reads.confidences, (1 - value) * rate, "_bucket", le=bin, **labels)
        for bin in (c.CONFIDENCE_BINS[-1], "+Inf"):
            moves.add(reads.confidences, rate, "_bucket", le=bin, **labels)
        return
    within = 0.0
    for number, bin in enumerate(c.CONFIDENCE_BINS):
        right = number % 2
        # Labels came for longer than the confidences are looked at.
        for correct, share in (("yes", right), ("no", 1 - right)):
            moves.add(reads.outcomes, share * 10 * rate, confidence_bin=bin, correct=correct)
        within += (value if right else 1 - value) / 5
        moves.add(reads.confidences, within * rate, "_bucket", le=bin, **labels)
    moves.add(reads.confidences, rate, "_bucket", le="+Inf", **labels)


def _quantile(
    moves: Moves, spec: Spec, mode: FailureMode, metric: Metric, condition: Condition, value: float, rate: float
) -> None:
    """Let an interpolated quantile be `value`: of two buckets, so many are in the lower."""
    # A trifle more, since times are printed cut off to whole seconds.
    value *= CUT
    threshold = tested_limits(spec, mode, condition)
    edges = [edge for edge in (threshold.low, threshold.high) if edge is not None]
    # Both of its ends lie between the two bounds.
    lower, upper = edges[0] - (0.7 * abs(edges[0]) or 2.0), edges[-1] + 19 * (abs(edges[-1]) or 1.0)
    if condition.reference is not None:
        lower = min(lower, 0.8 * compared_with(mode, condition))
    q = float(condition.argument[1:]) / 100
    inside = (value - lower) / (upper - lower)
    labels = dict(condition.labels)
    below = min(max(0.0, (q - inside) / (1 - inside)), 1.0)
    _first(moves, mode, metric, below, rate, le=le(lower), **labels)
    for bound in (le(upper), "+Inf"):
        moves.add(metric, rate, "_bucket", le=bound, **labels)


def _drifted(moves: Moves, spec: Spec, mode: FailureMode, condition: Condition, value: float, rate: float) -> None:
    """Let a feature's values be so far from its baseline, with the baseline's bins."""
    reference = condition_references(spec, mode, condition)[0]
    if condition.against is not None:
        then = replace(reference.baseline, count=rate * max(mode.window, spec.timing.long_window))
        reference = replace(reference, baseline=then)
    shares = moved(reference, cast(Statistic, condition.argument), value, rate * mode.window)
    distributed(moves, reference, shares, rate, **dict(condition.labels))


def distributed(moves: Moves, reference: Reference, shares: Shares, rate: float, **labels: str) -> None:
    """Let a feature have values at `rate` each second, with these shares of its baseline's bins."""
    moves.put(c.FEATURE_INFO, 1.0, **labels, unit=reference.baseline.unit, bins=reference.baseline.bins)
    if reference.has_categories:
        for category, share in zip(reference.bins, shares, strict=True):
            moves.add(c.FEATURE_CATEGORY, share * rate, **labels, category=category)
        return
    for bound, within in zip(reference.bins, accumulate(shares), strict=True):
        moves.add(c.FEATURE_VALUE, within * rate, "_bucket", **labels, le=bound)


def _latency(moves: Moves, spec: Spec, mode: FailureMode, condition: Condition, value: float, rate: float) -> None:
    metric = duration(mode.stage)
    share = bound_share(spec, mode.stage, condition)
    if share is not None:
        # A smaller bound that no call meets shows whether the rule reads its own.
        moves.add(metric, 0.0, "_bucket", le=le(share.bound * 0.37))
        moves.add(metric, max(0.0, 1 - value) * rate, "_bucket", le=le(share.bound))
    else:
        # As many calls in the lower of two buckets as make the interpolated quantile `value`.
        high = tested_limits(spec, mode, condition).high
        assert high is not None
        if read := read_bounds(spec, mode.stage):
            # Its unit is known of the bounds that are said, and of no others.
            moves.add(metric, rate / 4, "_bucket", le=le(read[0] * 0.37))
            shares = shares_at([point(spec, mode, condition, value)], read) or [1.0] * len(read)
            for bound, below in zip(read, shares, strict=True):
                _first(moves, mode, metric, below, rate, le=le(bound))
        else:
            # A trifle more, since times are printed cut off.
            value *= CUT
            lower, upper = high * 0.4, high * 20
            if condition.reference is not None:
                lower = min(lower, 0.8 * compared_with(mode, condition))
            q, inside = quantile_of(condition), (value - lower) / (upper - lower)
            below = max(0.0, (q - inside) / (1 - inside))
            _first(moves, mode, metric, below, rate, le=le(lower))
            moves.add(metric, rate, "_bucket", le=le(upper))
    moves.add(metric, rate, "_bucket", le="+Inf")
    _counted_times(moves, spec, mode, rate)


def _first(moves: Moves, mode: FailureMode, metric: Metric, part: float, rate: float, **labels: str) -> None:
    """Let a part of the values be in a bucket: those of the first replicas, unless some may be looked at alone."""
    if len(mode.conditions) > 1:
        # Another condition may be of some of the replicas.
        moves.add(metric, part * rate, "_bucket", **labels)
    else:
        moves.add_first(metric, part, rate, "_bucket", **labels)


def _counted_times(moves: Moves, spec: Spec, mode: FailureMode, rate: float) -> None:
    moves.add(duration(mode.stage), rate, "_count")
    if mode.stage is not None and spec.stage(mode.stage).series:
        # Panels read it, by the name that a rule gives it.
        moves.add(duration(mode.stage), rate, "_sum")
    if mode.stage is None:
        _stage_times(moves, spec, rate)


def _stage_times(moves: Moves, spec: Spec, rate: float) -> None:
    """Let the first stage with a budget take longest for it: not in seconds, which are no measure of that."""
    budgets = [(stage.name, stage.budget) for stage in spec.stages if stage.budget]
    for index, (stage, budget) in enumerate(budgets):
        times = OVERRUN if not index else 0.9
        where = {"stage": stage, "track": "stable"}
        moves.put_each(c.STAGE_BUDGET, budget, **where)
        moves.add(c.STAGE_DURATION, rate, "_count", **where)
        moves.add(c.STAGE_DURATION, rate * times * budget, "_sum", **where)
        if not index:
            # What a candidate in shadow takes is nobody's wait.
            moves.add(c.STAGE_DURATION, rate, "_count", stage=stage, track="shadow")
            moves.add(c.STAGE_DURATION, rate * budget, "_sum", stage=stage, track="shadow")
