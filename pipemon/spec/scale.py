"""Every duration of a spec divided by one factor, for demos and drills."""

from __future__ import annotations

import re
from dataclasses import fields, replace

from pipemon.spec.expression import OPAQUE
from pipemon.spec.model import Condition, Objective, Spec, Timing
from pipemon.spec.objective import burning
from pipemon.units import duration, seconds

_TIME = r"((?:[0-9]+(?:ms|[smhdwy]))+)"
_DURATIONS = re.compile(rf"{OPAQUE}|(\[|\boffset\b)(\s*(?:-\s*)?){_TIME}(?:\s*(:)\s*{_TIME}?)?")
_YEARS = re.compile(r"([0-9]+)y")


def scaled(spec: Spec, factor: float) -> Spec:
    """Return `spec` with every duration divided by `factor`.

    Budgets and latency thresholds stay: they are values that are measured, not times that are waited.
    """

    def shorter(seconds: float) -> float:
        # In whole milliseconds, as durations are written.
        return max(0.001, round(seconds / factor, 3)) if seconds else 0.0

    timing = replace(spec.timing, **{f.name: shorter(getattr(spec.timing, f.name)) for f in fields(Timing)})
    modes = tuple(
        replace(
            mode,
            window=shorter(mode.window),
            for_=shorter(mode.for_),
            keep_firing_for=shorter(mode.keep_firing_for),
            conditions=tuple(_condition(condition, spec.objective, factor) for condition in mode.conditions),
            # The series that a person wrote for a test rise by the step, not by the second.
            fires_on=mode.fires_on if factor == 1 else (),
            quiet_on=mode.quiet_on if factor == 1 else (),
        )
        for mode in spec.failure_modes
    )
    batch = spec.schedule
    if batch is not None:
        batch = replace(batch, period=shorter(batch.period), grace=shorter(batch.grace))
    return replace(spec, timing=timing, failure_modes=modes, schedule=batch, link=shorter(spec.link))


def _condition(condition: Condition, objective: Objective | None, factor: float) -> Condition:
    reference = condition.reference
    if condition.threshold is not None and reference is not None:
        sooner = replace(reference, offset=round(reference.offset / factor, 3), hold=round(reference.hold / factor, 3))
        return replace(condition, threshold=replace(condition.threshold, reference=sooner))
    if condition.against is not None:
        past = condition.against
        sooner = replace(past, offset=round(past.offset / factor, 3), hold=round(past.hold / factor, 3))
        return replace(condition, against=sooner)
    if condition.burns and objective is not None:
        faster = tuple(replace(burn, long=burn.long / factor, short=burn.short / factor) for burn in condition.burns)
        # Its words say over which windows.
        return replace(condition, burns=faster, threshold=burning(objective, faster))
    if condition.signal != "promql":
        return condition
    return replace(condition, argument=scale_promql(condition.argument, factor))


def scale_promql(text: str, factor: float) -> str:
    """Return PromQL with its ranges, subquery steps and offsets divided by `factor`; strings stay as they are."""

    def shorter(match: re.Match[str]) -> str:
        opaque, before, sign, first, colon, second = match.groups()
        if opaque is not None:
            return opaque
        parts = [before, sign, _divide(first, factor)]
        if colon:
            parts += [":", _divide(second, factor) if second else ""]
        return "".join(parts)

    return text if factor == 1 else _DURATIONS.sub(shorter, text)


def _divide(text: str, factor: float) -> str:
    return duration(seconds(_YEARS.sub(lambda years: f"{int(years[1]) * 365}d", text)) / factor)
