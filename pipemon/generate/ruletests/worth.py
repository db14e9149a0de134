"""promtool tests of what a bin of confidences is worth: by the labels of days, or of the last hour of a new version."""

from __future__ import annotations

from collections.abc import Iterator

from pipemon import catalogue as c
from pipemon.generate.measures import measure
from pipemon.generate.recordings import Recording
from pipemon.generate.rules import Group
from pipemon.generate.ruletests.lines import rising
from pipemon.generate.ruletests.places import series
from pipemon.generate.ruletests.scenes import ANOTHER, NEIGHBOUR, kept_labels
from pipemon.spec import reads as r
from pipemon.spec.model import FailureMode, Spec
from pipemon.spec.signals import SIGNALS
from pipemon.units import duration

Test = dict[str, object]
_Phases = list[tuple[float, int]]
"""By how much a counter rises at each of how many scrapes."""

_SCRAPES = 12
"""In an hour."""
_BEFORE = 24
"""Hours of labels that are too old to count, and of none."""
_FEW, _BIN = 4, c.CONFIDENCE_BINS[-1]


def worth_step(spec: Spec) -> float:
    """Return how often these tests evaluate the rules, in seconds: at full hours, and in the middle of them."""
    return spec.timing.long_window / 2


def worth_cases(spec: Spec, group: Group) -> Iterator[tuple[str, str, Test]]:
    """Yield the case of each failure mode of a group that is told by what confidences are worth, with its name."""
    for alert in group.alerts if spec.schedule is None else ():
        for condition in alert.mode.conditions:
            found = measure(spec, alert.mode, condition)
            if found is not None and isinstance(SIGNALS[condition.signal].reads, r.Estimated):
                known, *_ = found.value.parts
                yield (
                    alert.mode.name,
                    "knows what confidences are worth by enough labels",
                    _case(spec, alert.mode, known),
                )


def _case(spec: Spec, mode: FailureMode, known: Recording) -> Test:
    """Return the case, half an hour after the last full one: days are over that began after the oldest labels."""
    hour = spec.timing.long_window
    days = round(spec.timing.calibrated_over / hour)
    full = (_BEFORE + days) * _SCRAPES
    end = full + _SCRAPES // 2
    told: dict[str, tuple[_Phases, _Phases]] = {
        # All right long ago, and three in four since.
        "in-days": (_since(9, 3, end), _since(0, 1, end)),
        "few-in-days": _once(full // 2, end, 1, 1),
        "enough-in-days": _once(full // 2, end, 2, 2),
        "in-the-last-hour": _once(full + 1, end, 1, 3),
        "few-in-the-last-hour": _once(full + 1, end, 1, 0.5),
    }
    expected = {"in-days": 0.75, "enough-in-days": 0.5, "in-the-last-hour": 0.25}
    kept = kept_labels(spec)
    place = {"pipeline": spec.pipeline, "stage": mode.stage or "", "track": "stable", **kept}
    inputs = []
    for version, counters in told.items():
        for correct, phases in zip(("yes", "no"), counters, strict=True):
            labels = {**place, "version": version, "confidence_bin": _BIN, "correct": correct}
            inputs.append({"series": series(c.CALIBRATION.name, labels), "values": rising(phases)})
    # What a candidate in shadow gets right is nobody's answer.
    shadow = {**place, "track": "shadow", "version": "in-days", "confidence_bin": _BIN, "correct": "no"}
    inputs.append({"series": series(c.CALIBRATION.name, shadow), "values": rising([(9, end)])})
    labels = {"pipeline": spec.pipeline, "stage": mode.stage or "", "confidence_bin": _BIN, **kept}
    for label in ("pipeline", *(label for label, _ in spec.select)):
        other = {**labels, label: NEIGHBOUR, "version": ANOTHER}
        inputs += [{"series": series(part.name, other), "values": f"100+0x{end}"} for part in known.parts]
    samples = [{"labels": series("", {**labels, "version": each}), "value": value} for each, value in expected.items()]
    asked = {
        "expr": f"round({known.name}, 1e-06)",
        "eval_time": duration(end * hour / _SCRAPES),
        "exp_samples": samples,
    }
    return {"interval": duration(hour / _SCRAPES), "input_series": inputs, "promql_expr_test": [asked]}


def _since(before: float, now: float, end: int) -> _Phases:
    return [(before, 16 * _SCRAPES), (0, (_BEFORE - 14) * _SCRAPES), (now, end - (_BEFORE + 2) * _SCRAPES)]


def _once(begin: int, end: int, right: float, wrong: float) -> tuple[_Phases, _Phases]:
    """Return the phases of a version that gets its labels in a few scrapes."""
    right_ones, wrong_ones = ([(0, begin), (rise, _FEW), (0, end - begin - _FEW)] for rise in (right, wrong))
    return right_ones, wrong_ones
