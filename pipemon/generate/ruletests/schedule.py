"""promtool tests of runs that do not come: too late, in time, never, and a run that leaves a stage out."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import cast

from pipemon import catalogue as c
from pipemon.generate.last_run import since_success
from pipemon.generate.measures import measure
from pipemon.generate.promql import text
from pipemon.generate.recordings import own
from pipemon.generate.rules import Alert, Group
from pipemon.generate.ruletests.expectations import firing_at, nothing_of_others, place_if_any, place_of
from pipemon.generate.ruletests.places import series
from pipemon.generate.ruletests.scenes import ANOTHER, NEIGHBOUR, kept_labels
from pipemon.spec.model import FailureMode, Spec
from pipemon.units import duration

Test = dict[str, object]

_STEPS = 40
"""Steps until a run is overdue."""
_SOON = 10
"""Evaluations until one is that was long ago when the test began."""


def by_schedule(spec: Spec, alert: Alert) -> bool:
    """Tell whether an alert is one of runs that do not come, which stands alone."""
    return spec.schedule is not None and "no_calls" in alert.mode.signals


def schedule_cases(spec: Spec, group: Group) -> dict[float, list[tuple[str, str, Test]]]:
    """Return the cases of a group's alerts on runs that do not come, with their failure modes' names, by their step."""
    alerts = [alert for alert in group.alerts if by_schedule(spec, alert)]
    if spec.schedule is None or not alerts:
        return {}
    step = spec.schedule.limit / _STEPS
    return {step: [(alert.mode.name, name, test) for alert in alerts for name, test in _cases(spec, alert, step)]}


def _cases(spec: Spec, alert: Alert, step: float) -> Iterator[tuple[str, Test]]:
    """Yield the cases. A run ends well at the first step, and then does or does not again."""
    assert spec.schedule is not None
    mode = alert.mode
    end = 3 * _STEPS
    wait = ceil(round(mode.for_ / step, 6))
    firing = [{**place_of(spec, mode), **alert.labels}]
    nowhere = [{**place_if_any(spec, mode), **alert.labels}]
    late, again = _STEPS + wait + 2, 2 * _STEPS
    tail = ceil(round(mode.keep_firing_for / step, 6))
    calls = [] if mode.stage is None else [_calls(spec, mode.stage, f"5+0x{end}")]
    others = _others(spec, mode, step, end)

    def case(lines: list[dict[str, str]], *checks: tuple[int, list[dict[str, str]]]) -> Test:
        exprs = [firing_at(alert, duration(at * step), labels) for at, labels in checks]
        return {"interval": duration(step), "input_series": [*lines, *others], "promql_expr_test": exprs}

    once = f"0+0x{again - 1} {_time(again * step)}+0x{end - again}"
    lasting = [(again + tail - 1, firing)] if tail > 2 else []
    yield (
        "fires when no run ends well in time",
        case([_success(spec, once), *calls], (_STEPS, []), (late, firing), *lasting, (again + tail + 2, [])),
    )
    # Each as late as it may be: the last step before it would be overdue.
    in_time = " ".join(f"{_time(begin * step)}+0x{_STEPS - 2}" for begin in range(0, end, _STEPS - 1))
    quiet = case([_success(spec, in_time), *calls], (late, []), (end - 2, []))
    nothing_else = nothing_of_others(spec, duration(late * step))
    quiet["promql_expr_test"] = [*cast("list[object]", quiet["promql_expr_test"]), nothing_else]
    yield "is quiet while runs are in time", quiet
    lost = f"0+0x{_STEPS // 2} stale"
    # By then it is so long ago that nothing tells where it was.
    forgotten = _STEPS // 2 + late + tail + 1 + ceil(round((spec.schedule.remembered - spec.schedule.limit) / step, 6))
    no_success = case([_success(spec, lost), *calls], (_STEPS - 1, []), (late, firing), (forgotten, nowhere))
    since = text(since_success(spec).value.series(*own(spec)))
    nothing = {"expr": since, "eval_time": duration(forgotten * step), "exp_samples": []}
    exprs = [*cast("list[object]", no_success["promql_expr_test"]), nothing]
    yield "fires when the last success is lost and no other comes", {**no_success, "promql_expr_test": exprs}
    at_once = case([_success(spec, "0 stale"), *calls], (_STEPS - 1, []), (late, firing))
    yield "fires when the last success is lost at once and no other comes", at_once
    yield "fires when no run ever ended well", case(calls, (_STEPS - 1, []), (late, nowhere))
    young = case(calls, (late, []))
    yield "is quiet while Prometheus has not looked so long", {**young, "input_series": [*calls, *others[:-1]]}
    if mode.stage is not None:
        half = _STEPS // 2
        none = _calls(spec, mode.stage, f"5+0x{half - 1} 0+0x{end - half}")
        fresh = _success(spec, f"0+{_time(step)}x{end}")
        yield "fires when a run does not call it", case([fresh, none], (half - 1, []), (half + wait + 2, firing))


def overdue_cases(spec: Spec, group: Group) -> dict[float, list[tuple[str, str, Test]]]:
    """Return the case of how long each of these alerts waits, evaluation by evaluation, as `schedule_cases` does."""
    found: dict[float, list[tuple[str, str, Test]]] = {}
    for alert in group.alerts:
        if spec.schedule is not None and by_schedule(spec, alert):
            mode, step = alert.mode, spec.interval(alert.mode)
            end = _SOON + 1 + ceil(round(mode.for_ / step, 6))
            success = _success(spec, f"{_time(_SOON * step - spec.schedule.limit)}+0x{end}")
            calls = [] if mode.stage is None else [_calls(spec, mode.stage, f"5+0x{end} stale")]
            firing = [{**place_of(spec, mode), **alert.labels}]
            test: Test = {
                "interval": duration(step),
                "input_series": [success, *calls, *_others(spec, mode, step, end)],
                "promql_expr_test": [
                    *(firing_at(alert, duration(at * step), labels) for at, labels in ((end - 1, []), (end, firing))),
                    *([] if mode.stage is None else [_no_calls_kept(spec, mode, step, end)]),
                ],
            }
            found.setdefault(step, []).append((mode.name, "waits for as long as it says, and no longer", test))
    return found


def _no_calls_kept(spec: Spec, mode: FailureMode, step: float, end: int) -> Test:
    """Return the test that calls which no scrape has are not told for longer than their window."""
    found = measure(spec, mode, mode.conditions[0])
    assert found is not None
    gone = end + ceil(round(mode.window / step, 6)) + 1
    kept = text(found.value.series(*found.matchers))
    return {"expr": kept, "eval_time": duration(gone * step), "exp_samples": []}


def _success(spec: Spec, values: str) -> dict[str, str]:
    labels = {"pipeline": spec.pipeline, **kept_labels(spec)}
    return {"series": series(c.BATCH_LAST_SUCCESS.name, labels), "values": values}


def _calls(spec: Spec, stage: str, values: str, track: str = "stable") -> dict[str, str]:
    labels = {"pipeline": spec.pipeline, "stage": stage, "version": "1", "track": track, **kept_labels(spec)}
    return {"series": series(c.STAGE_CALLS.name, labels), "values": values}


def _others(spec: Spec, mode: FailureMode, step: float, end: int) -> list[dict[str, str]]:
    """Return a stage that no run calls and a candidate in shadow, the successes of others, all fresh, and a target.

    The target is the last: by it Prometheus looks since long.
    """
    own = {"pipeline": spec.pipeline, **kept_labels(spec)}
    places = [{**own, label: NEIGHBOUR} for label in ("pipeline", *(label for label, _ in spec.select))]
    fresh = [
        {"series": series(c.BATCH_LAST_SUCCESS.name, place), "values": f"0+{_time(step)}x{end}"} for place in places
    ]
    beside = []
    if mode.stage is not None:
        beside = [_calls(spec, ANOTHER, f"0+0x{end}"), _calls(spec, mode.stage, f"5+0x{end}", "shadow")]
    return [*beside, *fresh, {"series": series(c.UP.name, {"job": ANOTHER, "instance": "a"}), "values": f"1+0x{end}"}]


def _time(seconds: float) -> str:
    return format(seconds, ".6f").rstrip("0").rstrip(".")
