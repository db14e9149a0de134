"""promtool tests of the hour before, which is held while an alert lasts: by what is recorded of it, and by alerts."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, floor

from pipemon import catalogue as c
from pipemon.generate.measures import measure
from pipemon.generate.rules import Alert, Group
from pipemon.generate.ruletests.places import series
from pipemon.generate.ruletests.scenes import ANOTHER, kept_labels, labels_of
from pipemon.generate.ruletests.values import compared_with
from pipemon.spec.model import Reference, Spec
from pipemon.units import duration

_IN_HOUR = 30
"""Steps: more often than Prometheus looks back, for what was held a step ago to be seen."""
_BEGINS, _ENDS = 2, 5
"""The steps at which the alert begins, and at which it is seen last."""
_TIMES = 100
"""What the hour before rises to once the alert is in it."""


def held_step(spec: Spec) -> float:
    """Return the step of these tests, in seconds."""
    return max(spec.timing.scrape_interval, spec.timing.long_window / _IN_HOUR)


def held_cases(spec: Spec, group: Group) -> Iterator[tuple[str, str, dict[str, object]]]:
    """Yield the cases of what a group's alerts hold, with their failure modes' names."""
    for alert in group.alerts:
        for condition in alert.mode.conditions:
            if (past := condition.reference) is None or not past.hold:
                continue
            found = measure(spec, alert.mode, condition)
            assert found is not None
            assert found.reference is not None
            held, (hour_before,) = found.reference.value, found.reference.value.parts
            value, name = compared_with(alert.mode, condition), alert.mode.name
            now = labels_of(spec, hour_before.labels, found.matchers)
            then = labels_of(spec, held.labels, found.reference.matchers)
            places = (now, then, hour_before.name, held.name)
            clean = (max(alert.mode.window, spec.timing.long_window) + alert.mode.window) / held_step(spec)
            kept, over = _ENDS + ceil(clean) - 1, _ENDS + floor(clean) + 1
            checks = {_ENDS: value, kept: value, over: _risen(value)}
            yield name, "holds the hour before until it is clean again", _case(spec, alert, places, checks, None)
            checks = {_ENDS - 1: value, _ENDS: _risen(value)}
            yield name, f"holds it for {duration(past.hold)} at most", _case(spec, alert, places, checks, past)


def _risen(value: float) -> float:
    """Return what the hour before rises to, as it is written."""
    return float(f"{value * _TIMES:g}")


def _case(
    spec: Spec,
    alert: Alert,
    places: tuple[dict[str, str], dict[str, str], str, str],
    checks: dict[int, float],
    lasting: Reference | None,
) -> dict[str, object]:
    """Return a case in which the hour before rises with the alert, which ends soon, or is `lasting` for too long."""
    now, then, hour_before, held = places
    step, end, usual = held_step(spec), max(checks), next(iter(checks.values()))
    place = {
        "pipeline": spec.pipeline,
        **({"stage": alert.mode.stage} if alert.mode.stage else {}),
        **kept_labels(spec),
    }
    firing = {"alertname": alert.name, "alertstate": "firing", **place}
    # So long ago that it is too long at the last step that is looked at.
    since = 0.0 if lasting is None else end * step - lasting.hold - step / 2
    lasts = f"_x{_BEGINS} 1+0x{_ENDS - _BEGINS} stale" if lasting is None else f"_x{_BEGINS} 1+0x{end}"
    rises = f"{usual:g}+0x{_BEGINS} {_risen(usual):g}+0x{end}"
    inputs = [
        {"series": series(hour_before, now), "values": rises},
        {"series": series(c.ALERTS.name, firing), "values": lasts},
        {"series": series(c.ALERTS_FOR_STATE.name, {"alertname": alert.name, **place}), "values": f"{since:g}+0x{end}"},
        # Another alert holds nothing.
        {"series": series(c.ALERTS.name, {**firing, "alertname": ANOTHER}), "values": f"1+0x{end}"},
    ]
    # Where alerts are told apart, one holds nothing elsewhere.
    elsewhere = [{label: ANOTHER} for label in spec.told_apart_by]
    inputs += [{"series": series(hour_before, {**now, **other}), "values": rises} for other in elsewhere]
    return {
        "interval": duration(step),
        "input_series": inputs,
        "promql_expr_test": [
            {
                "expr": series(held, {"failure_mode": alert.mode.name}),
                "eval_time": duration(at * step),
                "exp_samples": [
                    {"labels": series(held, {**then, **other}), "value": shown}
                    for other, shown in (({}, value), *((other, _risen(usual)) for other in elsewhere))
                ],
            }
            for at, value in checks.items()
        ],
    }
