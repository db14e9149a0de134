"""In how large steps the tests of a failure mode go: promtool evaluates every rule of a file at each of them."""

from __future__ import annotations

from pipemon.generate.measures import measure
from pipemon.generate.promql import Expr, rebuilt
from pipemon.spec import reads as r
from pipemon.spec.model import FailureMode, Spec
from pipemon.spec.signals import SIGNALS

_IN_WINDOW = 12
"""Steps in the shortest window: in a day at 2m there would be 720."""


def tested_every(spec: Spec, mode: FailureMode) -> float:
    """Return the step of a failure mode's usual tests, in seconds: how often its rules are evaluated, or less often.

    What only counts over its windows is the same then. How long the alert waits is a case of its own where the step
    is longer, see `wait`. Silence, the time of this moment, the hour before and what a person wrote are seen as often
    as Prometheus looks.
    """
    usual = spec.interval(mode)
    if mode.window < spec.timing.long_window or any(
        condition.signal == "promql"
        or isinstance(SIGNALS[condition.signal].reads, r.Silence | r.Age)
        or (condition.reference is not None and condition.reference.hold)
        for condition in mode.conditions
    ):
        return usual
    return spec.derived(("step", mode), lambda spec: max(usual, _shortest(spec, mode) / _IN_WINDOW))


def _shortest(spec: Spec, mode: FailureMode) -> float:
    """Return the shortest window that is read for a failure mode, 0 where there is none."""
    found = (measure(spec, mode, condition) for condition in mode.conditions)
    recordings = (recording for each in found if each is not None for recording in each.recordings)
    return min((window for recording in recordings for window in windows(recording.expr)), default=0.0)


def windows(expr: Expr) -> list[float]:
    """Return the windows over which an expression looks, in seconds."""
    found: list[float] = []

    def visit(each: Expr) -> Expr:
        if isinstance(window := getattr(each, "window", None), float | int):
            found.append(window)
        return rebuilt(each, visit)

    visit(expr)
    return found
