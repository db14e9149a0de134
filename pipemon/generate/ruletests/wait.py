"""promtool tests of how long an alert waits, and lasts, whose other tests take long steps: by recorded values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from math import ceil

from pipemon.generate.expressions import is_low_until_full
from pipemon.generate.measures import measure
from pipemon.generate.promql import Matcher
from pipemon.generate.queries import calls_total
from pipemon.generate.recordings import Measure, Recording
from pipemon.generate.rules import Alert
from pipemon.generate.ruletests.expectations import firing_at, place_of
from pipemon.generate.ruletests.joint import joint_of
from pipemon.generate.ruletests.places import series
from pipemon.generate.ruletests.recorded import part_of
from pipemon.generate.ruletests.scenes import ANOTHER, calls_compared_with, labels_of
from pipemon.generate.ruletests.steps import windows
from pipemon.generate.ruletests.values import compared_with, needed_calls
from pipemon.spec.model import Spec
from pipemon.units import duration

Case = tuple[str, str, dict[str, object]]
"""A case with its failure mode's name and its own."""

Recorded = tuple[Recording, tuple[Matcher, ...], float]
"""A rule, which of its series, and its value."""

_BEYOND = 1e6
"""A value beyond any threshold."""
_PLENTY = 2.0
"""Observations behind a value, over the least that it needs."""


def wait_case(spec: Spec, alert: Alert, found: Measure) -> tuple[float, Case]:
    """Return the step of a case, and the case: half of what it waits for, it is quiet, however large the value."""
    recorded = [(found.value, found.matchers, _BEYOND)]
    if found.count is not None:
        recorded.append((found.count, found.count_matchers, _BEYOND))
    return _case(spec, alert, recorded)


def waiting_case(spec: Spec, alert: Alert) -> tuple[float, Case]:
    """Return the same of conditions that are just beyond their thresholds, on enough that was seen."""
    mode, recorded = alert.mode, list[Recorded]()
    burned = [condition for condition in mode.conditions if condition.burns]
    for condition in burned:
        # All is bad, over each of its windows.
        found = measure(spec, mode, condition)
        assert found is not None
        for each in (found, *found.beside):
            recorded += _of_measure(each, 1.0, _PLENTY * condition.min_events)
    if burned:
        return _case(spec, alert, recorded)
    joint = joint_of(spec, mode)
    values = joint.hold() or joint.one(0, joint.every[0].beyond[0], hold=False)
    enough = _PLENTY * max(needed_calls(spec, mode, condition) for condition in mode.conditions)
    for condition, value in zip(mode.conditions, values or [each.beyond[0] for each in joint.every], strict=True):
        found = measure(spec, mode, condition)
        assert found is not None
        recorded += _of_measure(found, value, enough)
        if found.reference is not None:
            recorded += _of_measure(found.reference, compared_with(mode, condition), calls_compared_with(mode))
    return _case(spec, alert, _with_rest(recorded))


def _with_rest(recorded: list[Recorded]) -> list[Recorded]:
    """Let what is counted be the rest of its whole, too, where a rule adds that up, such as of all categories."""
    found = []
    for each, matchers, count in recorded:
        whole = {m for m in matchers if m.label in each.labels}
        told = [
            entry
            for entry in recorded
            if each.parts == (entry[0],) and set(each.labels) < set(entry[0].labels) and whole <= set(entry[1])
        ]
        if not told:
            found.append((each, matchers, count))
            continue
        part, which, _ = told[0]
        left = count - sum({text: value for (_, text, value) in told}.values())
        other = [replace(m, value=ANOTHER) if m.label not in each.labels else m for m in which]
        found.append((part, tuple(other), left))
    return found


def by_step(cases: Iterable[tuple[float, Case]]) -> dict[float, list[Case]]:
    """Return cases by their step."""
    found: dict[float, list[Case]] = {}
    for step, case in cases:
        found.setdefault(step, []).append(case)
    return found


def _of_measure(found: Measure, value: float, count: float) -> list[Recorded]:
    """Return what is recorded where a measure has a value on such a count; what rules make of it they make here too."""
    told = [(each.recording, each.matchers, part_of(each, value) * count) for each in found.parts if each.of != "among"]
    if found.count is not None:
        told.append((found.count, found.count_matchers, count))
    names = {recording.name for recording, _, _ in told}
    if windows(found.value.expr) or any(part.name not in names for part in found.value.parts):
        told.append((found.value, found.matchers, value))
    return told


def _seen_once(spec: Spec, alert: Alert, steps: int) -> Iterator[dict[str, str]]:
    """Yield counters of calls of which there is one each step, seen once: nothing that rules make a rate of."""
    place = {**place_of(spec, alert.mode), **({"track": "stable"} if alert.mode.stage is not None else {})}
    for step in range(steps + 1):
        name = series(calls_total(alert.mode.stage).name, {**place, "instance": f"{step}"})
        yield {"series": name, "values": f"_x{step + 1} 0 stale"}


def _case(spec: Spec, alert: Alert, recorded: list[Recorded]) -> tuple[float, Case]:
    mode, lasts = alert.mode, alert.mode.keep_firing_for
    step = min(mode.for_, lasts or mode.for_) / 2
    # What must have been there a window ago was there from the beginning.
    rises = any(map(partial(is_low_until_full, spec), mode.conditions))
    least = ceil(round(mode.window / step, 6))
    # Of these steps a whole number is the window: each look back meets a sample.
    before = next((n for n in range(least, 10 * least) if not mode.window % n), least) if rises else 0
    step, begins = mode.window / before if rises else step, 1 + before
    fires = begins + ceil(round(mode.for_ / step, 6))
    values = {series(each.name, labels_of(spec, each.labels, matchers)): value for each, matchers, value in recorded}
    firing = [{**place_of(spec, mode), **alert.labels}]
    checks = [(fires - 1, []), (fires, firing)]
    if lasts:
        resolved = fires + 1 + ceil(round(lasts / step, 6))
        checks += [(resolved - 1, firing), (resolved, [])]
    missing = f"_x{begins}" if rises else "_"
    test: dict[str, object] = {
        "interval": duration(step),
        "input_series": [
            {"series": name, "values": f"{missing} {value:.12g}x{fires - begins}{' stale' if lasts else ''}"}
            for name, value in values.items()
        ]
        + (list(_seen_once(spec, alert, fires - begins + 1)) if rises else []),
        "promql_expr_test": [firing_at(alert, duration(at * step), labels) for at, labels in checks],
    }
    words = f" and lasts for {duration(lasts)}" if lasts else ""
    return step, (mode.name, f"fires once it has waited for {duration(mode.for_)}{words}", test)
