"""promtool tests of how long an alert waits, and lasts, whose other tests take long steps: by recorded values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil

from pipemon.generate.measures import measure
from pipemon.generate.promql import Matcher
from pipemon.generate.recordings import Measure, Recording
from pipemon.generate.rules import Alert
from pipemon.generate.ruletests.expectations import firing_at, place_of
from pipemon.generate.ruletests.places import series
from pipemon.generate.ruletests.recorded import part_of
from pipemon.generate.ruletests.scenes import ANOTHER, calls_compared_with, labels_of
from pipemon.generate.ruletests.steps import windows
from pipemon.generate.ruletests.values import compared_with, edge_values, needed_calls
from pipemon.spec.model import Spec
from pipemon.units import duration

_Told = tuple[Recording, tuple[Matcher, ...], float]
"""What is recorded, the matchers of its one series, and its value."""

Case = tuple[str, str, dict[str, object]]
"""A case with its failure mode's name and its own."""

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
    mode, recorded = alert.mode, list[_Told]()
    for condition in mode.conditions:
        found = measure(spec, mode, condition)
        assert found is not None
        if condition.burns:
            # All is bad, over each of its windows.
            for each in (found, *found.beside):
                recorded += _of_measure(each, 1.0, _PLENTY * condition.min_events)
            continue
        value, enough = edge_values(spec, mode, condition)[0][0], _PLENTY * needed_calls(spec, mode, condition)
        recorded += _of_measure(found, value, enough)
        if found.reference is not None:
            recorded += _of_measure(found.reference, compared_with(condition), calls_compared_with(mode))
    return _case(spec, alert, recorded)


def by_step(cases: Iterable[tuple[float, Case]]) -> dict[float, list[Case]]:
    """Return cases by their step."""
    found: dict[float, list[Case]] = {}
    for step, case in cases:
        found.setdefault(step, []).append(case)
    return found


def _of_measure(found: Measure, value: float, count: float) -> list[_Told]:
    """Return what is recorded where a measure has a value on such a count; what rules make of it they make here too."""
    told = [(each.recording, each.matchers, part_of(each, value) * count) for each in found.parts if each.of != "among"]
    if found.count is not None:
        told.append((found.count, found.count_matchers, count))
    counted, names = [_as_recorded(each, told) for each in told], {recording.name for recording, _, _ in told}
    if windows(found.value.expr) or any(part.name not in names for part in found.value.parts):
        return [*counted, (found.value, found.matchers, value)]
    return counted


def _as_recorded(each: _Told, told: Sequence[_Told]) -> _Told:
    """Return what is told, or where rules add that up from another that is told, what is missing in that."""
    whole, matchers, count = each
    known = [other for other, _, _ in told]
    inner = next((part for part in whole.parts if part in known and set(part.labels) > set(whole.labels)), None)
    if inner is None:
        return each
    label = next(label for label in inner.labels if label not in whole.labels)
    rest = count - sum(some for other, _, some in told if other == inner)
    return inner, (*matchers, Matcher(label, "=", ANOTHER)), rest


def _case(spec: Spec, alert: Alert, recorded: list[_Told]) -> tuple[float, Case]:
    mode, lasts = alert.mode, alert.mode.keep_firing_for
    step = min(mode.for_, lasts or mode.for_) / 2
    fires = 1 + ceil(round(mode.for_ / step, 6))
    values = {series(each.name, labels_of(spec, each.labels, matchers)): value for each, matchers, value in recorded}
    firing = [{**place_of(spec, mode), **alert.labels}]
    checks = [(fires - 1, []), (fires, firing)]
    if lasts:
        resolved = fires + 1 + ceil(round(lasts / step, 6))
        checks += [(resolved - 1, firing), (resolved, [])]
    test: dict[str, object] = {
        "interval": duration(step),
        "input_series": [
            {"series": name, "values": f"_ {value:.12g}x{fires - 1}{' stale' if lasts else ''}"}
            for name, value in values.items()
        ],
        "promql_expr_test": [firing_at(alert, duration(at * step), labels) for at, labels in checks],
    }
    words = f" and lasts for {duration(lasts)}" if lasts else ""
    return step, (mode.name, f"fires once it has waited for {duration(mode.for_)}{words}", test)
