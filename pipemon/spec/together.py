"""`features_moved`: how many features of a stage have drifted at once, of those that its failure modes watch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from pipemon.spec.fields import Report
from pipemon.spec.model import FailureMode
from pipemon.spec.reader import Mapping, Scalar
from pipemon.spec.signals import DRIFT, TOGETHER
from pipemon.units import duration

_WAITS = "not yet measurable: waits for a baseline"


def counted(report: Report, mode: FailureMode, key: Scalar, body: Mapping, every: Sequence[FailureMode]) -> FailureMode:
    """Return a failure mode that counts features with the window over which they are watched.

    Others as they are. Reports where so few are watched that it could never fire; where they wait for a baseline, so
    does it.
    """
    if TOGETHER not in mode.signals or mode.stage is None:
        return mode
    of_stage = [other for other in every if other.stage == mode.stage]
    windows = dict.fromkeys(other.window for other in of_stage if _features([other]))
    if body.get("window") is None and len(windows) == 1:
        mode = replace(mode, window=next(iter(windows)))
    number = len(_features(other for other in of_stage if other.window == mode.window))
    limit = mode.conditions[0].threshold
    if limit is None or limit.high is None or number > limit.high:
        return mode
    if any(other.waiting.startswith(_WAITS) for other in of_stage):
        return replace(mode, conditions=(), waiting=f"{_WAITS} of the features that it counts")
    watched = (
        f"{number or 'no'} feature{'s' if number != 1 else ''} of {mode.stage!r} watched for drift from the baseline"
    )
    message = f"over {duration(mode.window)} there {'is' if number == 1 else 'are'} {watched}"
    report.add(key, f"{mode.name}: {TOGETHER}: {message}, so more than {limit.high:g} could never have moved", "range")
    return mode


def _features(modes: Iterable[FailureMode]) -> set[object]:
    """Return the features whose drift from the baseline some failure modes tell."""
    return {
        condition.feature
        for mode in modes
        for condition in mode.conditions
        if condition.signal == DRIFT and condition.against is None
    }
