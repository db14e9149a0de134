"""Which effects bring a failure mode about, and for how long: from its signals and thresholds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from pipemon.errors import OptionError
from pipemon.spec.cusum import slack, summed
from pipemon.spec.model import Condition, FailureMode, Spec, Threshold
from pipemon.units import duration

Mean = Callable[[FailureMode, Condition], float | None]
"""Tells what a condition's value is now, None where nothing is known."""

_ROOM = 1.5
"""How much longer, slower or further than the threshold asks for."""


class ByHandError(OptionError):
    """No effect that pipemon has brings this failure mode about; the sentence says why."""


@dataclass(frozen=True)
class Request:
    """What a service is asked for: effects as `pipemon.instrument.drill_effects.parse` reads them."""

    stage: str
    track: str
    effects: tuple[str, ...]


def request(spec: Spec, mode: FailureMode, share: float, now: Mean) -> Request:
    """Return what brings a failure mode about where `share` of the calls may change. Raises ByHandError."""
    if not mode.conditions:
        raise ByHandError(f"{mode.name} has no alert: {mode.waiting}")
    stage = mode.stage or spec.stages[-1].name
    if mode.combine == "all":
        effects = tuple(filter(None, (_effect(mode, each, share, now) for each in mode.conditions)))
        return Request(stage, "stable", effects)
    reason = ""
    for condition in mode.conditions:
        try:
            return Request(stage, "stable", (_effect(mode, condition, share, now),))
        except ByHandError as error:
            reason = reason or str(error)
    raise ByHandError(reason)


def length(spec: Spec, mode: FailureMode) -> float:
    """Return how long, in seconds, a drill must be able to last: until the alert must have fired, and was sent."""
    interval = spec.interval(mode)
    notified = spec.timing.group_wait + 4 * interval
    return max(10.0, _ROOM * (mode.window + mode.for_ + 4 * interval) + notified)


def _effect(mode: FailureMode, condition: Condition, share: float, now: Mean) -> str:
    """Return what makes a condition hold; "" where it holds already."""
    high = None if condition.threshold is None else condition.threshold.high
    match condition.signal:
        case "latency" if high is not None:
            quantile = condition.argument.removeprefix("p")
            _check(mode, share, 1 - float(quantile or 100) / 100)
            return f"latency={duration(round(high * _ROOM, 3))}"
        case "error_ratio" if high is not None:
            _check(mode, share, high)
            return "exception"
        case "null_ratio" if high is not None:
            _check(mode, share, high)
            return "null"
        case "missing_ratio" if high is not None and condition.feature is not None:
            _check(mode, share, high)
            return f"missing={condition.feature.direction}.{condition.feature.name}"
        case "feedback" if high is not None:
            _check(mode, share, high)
            return f"feedback={condition.argument}"
        case "cusum":
            enough = Threshold(None, slack(condition.tolerated), "")
            return _effect(mode, replace(summed(condition), threshold=enough), share, now)
        case "mean" if condition.feature is not None:
            by = _shift(condition, share, now(mode, condition))
            return f"shift={condition.feature.direction}.{condition.feature.name}:{by:.6g}" if by else ""
    raise ByHandError(
        f"{mode.name}: no effect of pipemon's brings {condition.signal} about; "
        "name one by --effect, or bring it about by hand"
    )


def _check(mode: FailureMode, share: float, needed: float) -> None:
    if share <= needed * 1.05:
        raise ByHandError(
            f"{mode.name}: its threshold needs more than {needed:.3g} of the calls, and the drill may change "
            f"{share:.3g}; give a larger --share, if the service allows it"
        )


def _shift(condition: Condition, share: float, value: float | None) -> float:
    """Return what is added to each changed number, so that the mean of all goes well beyond the threshold.

    0 where it is beyond.
    """
    threshold = condition.threshold
    assert threshold is not None
    low, high = threshold.low, threshold.high
    if value is not None and ((low is not None and value < low) or (high is not None and value > high)):
        return 0.0
    if high is not None:
        start = value if value is not None else high if low is None else (low + high) / 2
        way = max(high - start, 0.1 * abs(high), 1e-6)
        return (high - start + (_ROOM - 1) * way) / share
    assert low is not None
    start = low if value is None else value
    way = max(start - low, 0.1 * abs(low), 1e-6)
    return (low - start - (_ROOM - 1) * way) / share
