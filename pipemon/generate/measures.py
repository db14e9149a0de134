"""Each condition as PromQL: the value, the traffic behind it, and the recording rules that both are read from.

How follows from what its signal reads (`pipemon.spec.reads`), not from which signal it is.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import takewhile

from pipemon import catalogue as c
from pipemon.catalogue import Metric
from pipemon.generate.calibration import calibration_error, estimated_accuracy
from pipemon.generate.cusum import cumulative_sum
from pipemon.generate.drift.measure import drift_measure
from pipemon.generate.drift.recent import recent_measure
from pipemon.generate.drift.shifts import shift_measure
from pipemon.generate.drift.together import features_moved, has_others
from pipemon.generate.held import held
from pipemon.generate.last_run import measured_on_last_run, since_success
from pipemon.generate.latency import latency
from pipemon.generate.levels import age, busy, gauge, items, largest, rate
from pipemon.generate.overrun import overrun, tells
from pipemon.generate.pieces import added_up
from pipemon.generate.promql import Aggregate, Binary, Call, Expr, Matcher, select
from pipemon.generate.queries import ALL_VALUES, calls_total, matchers, per, quantile, targets, unaccounted
from pipemon.generate.recordings import Measure, Part, Recording, Scope, own, picked, usual
from pipemon.spec import reads as r
from pipemon.spec.cusum import summed
from pipemon.spec.latency import burned_condition
from pipemon.spec.model import ALL, STABLE, Condition, FailureMode, Spec
from pipemon.spec.pieces import piece, windows_of
from pipemon.spec.signals import DRIFT, SIGNALS, signal_in


def measure(spec: Spec, mode: FailureMode, condition: Condition) -> Measure | None:
    """Return how a condition is measured, or None for `promql`, which says it itself.

    What is compared with the past is that of the stable versions together, now and then, so that no deploy
    blinds it; a canary keeps its version and is compared with all stable ones together.
    """
    # Asked for by each file and each test: where it is and over how long is all that it takes of a failure mode,
    # but for what is held while the alert lasts, and for what is added up.
    its_own = condition.against or condition.tolerated or (condition.reference and condition.reference.hold)
    whose = mode.name if its_own else ""
    wanted = ("measure", mode.stage, mode.window, condition, whose)
    found = spec.derived(wanted, lambda spec: _of_schedule(spec, mode, condition))
    if found is None:
        return None
    others: tuple[Measure, ...] = ()
    if tells(spec, mode):
        others = (overrun(usual(spec, None, mode.window)),)
    elif condition.signal == DRIFT and condition.against is None and has_others(spec, mode):
        others = (features_moved(spec, mode),)
    if spec.schedule is not None:
        others = tuple(map(measured_on_last_run, others))
    return replace(found, beside=(*found.beside, *others)) if others else found


def _of_schedule(spec: Spec, mode: FailureMode, condition: Condition) -> Measure | None:
    """Return a measure as of the service that always runs, or of the last run of one with a schedule."""
    is_silence = spec.schedule is not None and isinstance(SIGNALS[condition.signal].reads, r.Silence)
    if is_silence and mode.stage is None:
        return since_success(spec)
    found = _compared(spec, mode, condition)
    if found is None or spec.schedule is None:
        return found
    made = measured_on_last_run(found)
    return replace(made, beside=(*made.beside, since_success(spec))) if is_silence else made


def _compared(spec: Spec, mode: FailureMode, condition: Condition) -> Measure | None:
    everything = usual(spec, mode.stage, mode.window)
    reference = condition.reference
    if condition.burns:
        burned = burned_condition(spec, mode.stage, condition)
        read = [
            _burned(replace(everything, window=window), mode, condition, burned) for window in windows_of(condition)
        ]
        first, *beside = filter(None, read)
        return replace(first, beside=tuple(beside))
    if condition.tolerated:
        counted = _measure(everything, mode, summed(condition))
        return None if counted is None else cumulative_sum(everything, mode, condition, counted)
    if reference is None:
        return _measure(everything, mode, condition)
    if reference == ALL:
        together = replace(condition, labels=tuple((dict(condition.labels) | {"slice": ""}).items()))
        found, all_of_them = (_measure(everything, mode, each) for each in (condition, together))
        return None if found is None else replace(found, reference=all_of_them)
    stable = everything
    if mode.stage is not None:
        stable = replace(everything, by=(*everything.by, "track"), track="stable")
    if reference == STABLE:
        by = (*everything.by, "version", "track")
        now = replace(everything, by=by, track="canary")
        then = stable
    else:
        now = stable
        # A few minutes of last week say little; an hour of it is a steadier measure.
        ago = mode.window if reference.hold else reference.offset
        then = replace(stable, window=max(mode.window, spec.timing.long_window), offset=ago)
    found, before = (_measure(scope, mode, condition) for scope in (now, then))
    if before is not None and reference.hold:
        before = held(spec, mode, reference, before)
    return None if found is None else replace(found, reference=before)


def _burned(scope: Scope, mode: FailureMode, condition: Condition, burned: Condition) -> Measure | None:
    found, length = _measure(scope, mode, burned), piece(scope.spec, condition, scope.window)
    part = _measure(replace(scope, window=length), mode, burned) if length else None
    return added_up(found, part, scope.window, length) if found and part and length else found


def _measure(scope: Scope, mode: FailureMode, condition: Condition) -> Measure | None:
    signal = signal_in(scope.spec, condition.signal)
    match signal.in_slice if condition.slice and signal.in_slice is not None else signal.reads:
        case r.Share() as share:
            return _share(scope, share, condition)
        case r.Unaccounted():
            came = scope.counted(c.STAGE_ITEMS_IN)
            expr = unaccounted(scope, came.series(*own(scope.spec)))
            lost = Recording(scope.name("pipemon_stage_items_unaccounted", "increase"), expr, scope.by, (came,))
            return _divided(scope, "pipemon_stage_items_unaccounted_per_items_in:ratio_increase", lost, came)
        case r.Mean() as mean:
            return _mean(scope, mean, condition)
        case r.Quantile(whole=None) as found:
            return _quantile(scope, found, condition)
        case r.Calibration() as found:
            return calibration_error(scope, found)
        case r.Estimated() as found:
            return estimated_accuracy(scope, found, condition)
        case r.Quantile():
            return latency(scope, mode, condition, scope.ran())
        case r.Distance():
            return (drift_measure if condition.against is None else recent_measure)(scope.spec, mode, condition)
        case r.Shifted():
            return shift_measure(scope.spec, mode, condition)
        case r.Together():
            return features_moved(scope.spec, mode)
        case r.Silence() as silence:
            # A stage that declines its calls is being called.
            every = scope.counted(_of(scope, silence.counter, silence.whole))
            return Measure(every, scope.place, None, (), (Part(every, scope.place, "calls"),))
        case r.Rate() as found:
            return rate(scope, _of(scope, found.counter, found.whole))
        case r.Counted() as found:
            return items(scope, found)
        case r.Gauge() as found:
            return gauge(scope, _of(scope, found.gauge, found.whole))
        case r.Largest() as found:
            return largest(scope, found.gauge, _of(scope, found.stage, found.whole))
        case r.Busy() as found:
            return busy(scope, found)
        case r.Age() as found:
            return age(scope, found.timestamp)
        case _:
            return None


def _of(scope: Scope, metric: Metric, whole: Metric | None) -> Metric:
    return metric if scope.stage is not None or whole is None else whole


def _share(scope: Scope, share: r.Share, condition: Condition) -> Measure:
    events, of = _of(scope, share.events, share.whole), share.of
    labels = share.labels
    all_labels = (*labels, *share.events_labels)
    only = tuple(Matcher(label, "=", value) for label, value in share.only)
    # Of one counter, the events and the whole are two rules.
    kept_apart = "".join(f"_{value}" for _, value in share.only if value)
    stem = events.name.removesuffix("_total") + kept_apart
    above = scope.counted(events, *only, more=all_labels, called=stem)
    if of is events and not only:
        # The whole is what all of them add up to.
        below = Recording(
            scope.name(stem, "increase", *labels),
            Aggregate("sum", (*scope.by, *labels), above.series(*own(scope.spec))),
            (*scope.by, *labels),
            (above,),
        )
    else:
        below = scope.ran() if of is None else scope.counted(of, more=labels)
    name = _name(stem, of or calls_total(scope.stage))
    which = (*scope.place, *picked(condition, all_labels))
    return _divided(scope, name, above, below, which, (*scope.place, *picked(condition, labels)))


def _name(above: str, of: Metric) -> str:
    """Return `metric:operations` of a share: `pipemon_stage_failures_per_calls:ratio_increase`."""
    below = of.name.removesuffix("_total")
    pairs = zip(above.split("_"), below.split("_"), strict=False)
    common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    rest = below.split("_")[common:]
    return f"{above}{'_per_' if rest else ''}{'_'.join(rest)}:ratio_increase"


def _divided(
    scope: Scope,
    name: str,
    above: Recording,
    below: Recording,
    which: tuple[Matcher, ...] = (),
    counted: tuple[Matcher, ...] = (),
) -> Measure:
    """Return one recorded count over another, where the second is above zero; `which` pick the one series."""
    which, counted = which or scope.place, counted or scope.place
    on = None if above.labels == below.labels else below.labels
    expr = per(above.series(*own(scope.spec)), below.series(), on)
    metric, operation = name.split(":")
    value = Recording(scope.name(metric, operation, *above.labels[len(scope.by) :]), expr, above.labels, (above, below))
    return Measure(value, which, below, counted, (Part(above, which, "value"), Part(below, counted, "count")))


def _mean(scope: Scope, mean: r.Mean, condition: Condition) -> Measure:
    which = (*scope.place, *picked(condition, mean.labels))
    stem = mean.histogram.name
    if mean.signed is not None:
        count = scope.counted(mean.histogram, ALL_VALUES, more=mean.labels, suffix="_bucket")
        sums = _signed(scope, mean.signed, mean.labels)
    else:
        count = scope.counted(mean.histogram, more=mean.labels, suffix="_count")
        sums = scope.counted(mean.histogram, more=mean.labels, suffix="_sum")
    return _divided(scope, f"{stem}:mean_increase", sums, count, which, which)


def _quantile(scope: Scope, reads: r.Quantile, condition: Condition) -> Measure:
    metric, sums = reads.histogram, scope.also_by(*reads.labels)
    which = (*scope.place, *picked(condition, reads.labels))
    count = scope.counted(metric, ALL_VALUES, more=reads.labels, suffix="_bucket")
    q = float(condition.argument.removeprefix("p")) / 100
    name = scope.name(metric.name, f"{condition.argument.replace('.', '_')}_rate", *reads.labels)
    value = Recording(name, quantile(sums, metric, q), sums.by)
    return Measure(value, which, count, which, (Part(count, which, "count"),))


def _signed(scope: Scope, metric: Metric, more: tuple[str, ...]) -> Recording:
    spec, by = scope.spec, (*scope.by, *more)
    which = matchers(spec, metric, scope.track)

    def signed(sign: str, these: tuple[Matcher, ...]) -> Expr:
        series = select(
            metric,
            (*these, Matcher("sign", "=", sign)),
            window=scope.window,
            offset=scope.offset,
            target_labels=targets(spec),
        )
        return Aggregate("sum", by, Call("increase", (series,)))

    # What is selected on the left is all that finds a partner on the right.
    unselected = tuple(matcher for matcher in which if matcher.label not in dict(spec.select))
    name = scope.name(metric.name.removesuffix("_total"), "increase", *more)
    return Recording(name, Binary("-", signed("positive", which), signed("negative", unselected)), by)
