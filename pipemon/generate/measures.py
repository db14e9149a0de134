"""Each signal as PromQL: the value, the traffic behind it, and the recording rules that both are read from."""

from __future__ import annotations

from dataclasses import replace

from pipemon import catalogue as c
from pipemon.generate.latency import latency
from pipemon.generate.levels import level
from pipemon.generate.promql import Aggregate, Binary, Call, Expr, Matcher, select
from pipemon.generate.queries import ALL_VALUES, OF_ALL_SLICES, calls_total, matchers, per, targets, unaccounted
from pipemon.generate.recordings import Measure, Part, Recording, Scope, own, usual
from pipemon.spec.model import STABLE, Condition, FailureMode, Spec


def measure(spec: Spec, mode: FailureMode, condition: Condition) -> Measure | None:
    """Return how a condition is measured, or None for `promql`, which says it itself.

    What is compared with the past is that of the stable versions together, now and then, so that no deploy
    blinds it; a canary keeps its version and is compared with all stable ones together.
    """
    everything = usual(spec, mode.stage, mode.window)
    reference = condition.reference
    if reference is None:
        return _measure(everything, mode, condition)
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
        then = replace(stable, window=max(mode.window, spec.timing.long_window), offset=reference.offset)
    found = _measure(now, mode, condition)
    return None if found is None else replace(found, reference=_measure(then, mode, condition))


def _measure(scope: Scope, mode: FailureMode, condition: Condition) -> Measure | None:
    spec, place = scope.spec, scope.place
    calls = scope.ran()

    def share(name: str, above: Recording, which: tuple[Matcher, ...], below: Recording = calls) -> Measure:
        on = None if above.labels == below.labels else below.labels
        expr = per(above.series(*own(spec)), below.series(), on)
        metric, operation = name.split(":")
        more = above.labels[len(scope.by) :]
        value = Recording(scope.name(metric, operation, *more), expr, above.labels, (above, below))
        counted = which if on is None else place
        return Measure(value, which, below, counted, (Part(above, which, "value"), Part(below, counted, "count")))

    match condition.signal:
        case "no_calls":
            # A stage that declines its calls is being called.
            every = scope.counted(calls_total(mode.stage))
            return Measure(every, place, None, (), (Part(every, place, "calls"),))
        case "error_ratio" if mode.stage is None:
            failures = scope.counted(c.PIPELINE_FAILURES)
            return share("pipemon_pipeline_failures_per_runs:ratio_increase", failures, place)
        case "error_ratio":
            failures = scope.counted(c.STAGE_FAILURES)
            return share("pipemon_stage_failures_per_calls:ratio_increase", failures, place)
        case "null_ratio":
            nulls = scope.counted(c.STAGE_NULL_OUTPUTS)
            return share("pipemon_stage_null_outputs_per_calls:ratio_increase", nulls, place)
        case "feedback":
            signals = scope.counted(c.FEEDBACK, OF_ALL_SLICES, more=("signal",))
            which = (*place, Matcher("signal", "=", condition.argument))
            return share("pipemon_feedback_per_stage_calls:ratio_increase", signals, which)
        case "mean" | "missing_ratio":
            assert condition.feature is not None
            feature = condition.feature
            which = (*place, Matcher("direction", "=", feature.direction), Matcher("feature", "=", feature.name))
            more = ("direction", "feature")
            if condition.signal == "mean":
                count = scope.counted(c.FEATURE_VALUE, ALL_VALUES, more=more, suffix="_bucket")
                return share("pipemon_feature_value:mean_increase", _sums(scope, more), which, count)
            missing, observed = (scope.counted(m, more=more) for m in (c.FEATURE_MISSING, c.FEATURE_OBSERVED))
            return share("pipemon_feature_missing_per_observed:ratio_increase", missing, which, observed)
        case "unaccounted_ratio":
            items = scope.counted(c.STAGE_ITEMS_IN)
            expr = unaccounted(spec, scope.by, scope.window, "increase")
            lost = Recording(scope.name("pipemon_stage_items_unaccounted", "increase"), expr, scope.by)
            return share("pipemon_stage_items_unaccounted_per_items_in:ratio_increase", lost, place, items)
        case "latency":
            return latency(scope, mode, condition, calls)
        case "throughput" | "in_progress" | "load" | "cpu" | "age":
            return level(scope, condition.signal)
        case _:
            return None


def _sums(scope: Scope, more: tuple[str, ...]) -> Recording:
    spec, by = scope.spec, (*scope.by, *more)
    which = matchers(spec, c.FEATURE_SUM, scope.track)

    def signed(sign: str, these: tuple[Matcher, ...]) -> Expr:
        series = select(
            c.FEATURE_SUM,
            (*these, Matcher("sign", "=", sign)),
            window=scope.window,
            offset=scope.offset,
            target_labels=targets(spec),
        )
        return Aggregate("sum", by, Call("increase", (series,)))

    # What is selected on the left is all that finds a partner on the right.
    unselected = tuple(matcher for matcher in which if matcher.label not in dict(spec.select))
    name = scope.name("pipemon_feature_sum", "increase", *more)
    return Recording(name, Binary("-", signed("positive", which), signed("negative", unselected)), by)
