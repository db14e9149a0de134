"""Values that are no share of calls: how much is going on, or how old the model is."""

from __future__ import annotations

from pipemon import catalogue as c
from pipemon.generate.promql import Aggregate, Binary, Call, Recorded, select
from pipemon.generate.queries import calls_total, live, matchers, per, targets, total
from pipemon.generate.recordings import Measure, Recording, Scope, own


def level(scope: Scope, signal: str) -> Measure:
    """Return how such a signal is measured. A throughput is compared with the past only where there were calls."""
    counted = scope.counted(calls_total(scope.stage)) if signal == "throughput" and scope.offset else None
    return Measure(_level(scope, signal), scope.place, counted, scope.place if counted else ())


def _level(scope: Scope, signal: str) -> Recording:
    spec, by, window = scope.spec, scope.by, scope.window
    match signal:
        case "throughput":
            metric = calls_total(scope.stage)
            name = scope.name(metric.name.removesuffix("_total"), "rate")
            return Recording(name, total(spec, metric, by, window, offset=scope.offset, track=scope.track), by)
        case "in_progress":
            metric = c.PIPELINE_IN_PROGRESS if scope.stage is None else c.STAGE_IN_PROGRESS
            series = select(metric, matchers(spec, metric), target_labels=targets(spec))
            now = Recording(f"{'_'.join(by)}:{metric.name}:sum", Aggregate("sum", by, series), by)
            # Of the sum, since a replica that has gone would weigh on a mean of its own for a window.
            mean = Call("avg_over_time", (Recorded(now.name, by, own(spec), window),))
            return Recording(scope.name(metric.name, "avg"), mean, by, (now,))
        case "load":
            busy = total(spec, c.STAGE_DURATION, by, window, suffix="_sum")
            # Of the window, as what they were busy with is: replicas that have gone were there to do it.
            workers = Call("avg_over_time", (select(c.STAGE_WORKERS, live(spec), window=window),))
            expr = per(busy, Aggregate("sum", by, workers))
            name = scope.name("pipemon_stage_duration_seconds_sum_per_workers", "ratio_rate")
            return Recording(name, expr, by)
        case "cpu":
            return Recording(scope.name(c.STAGE_CPU.name, "rate"), total(spec, c.STAGE_CPU, by, window), by)
        case _:
            trained = select(c.STAGE_TRAINED, matchers(spec, c.STAGE_TRAINED), target_labels=targets(spec))
            version = (*by, "version")
            # A version that nobody calls any more may be as old as it likes; a call now and then is enough.
            lately = max(window, spec.timing.long_window)
            called = Aggregate("sum", version, Call("increase", (select(c.STAGE_CALLS, live(spec), window=lately),)))
            age = Binary("and", Binary("-", Call("time", ()), trained), Binary(">", called, 0.0), on=version)
            name = scope.name("pipemon_stage_model_age_seconds", "max_of_versions_called_increase")
            return Recording(name, Aggregate("max", by, age), by)
