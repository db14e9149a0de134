"""A past of labels that came late: fewer, slower, and of answers that were wrong, unsure or too sure."""

from __future__ import annotations

import random

from past import Values

from pipemon.catalogue import CONFIDENCE_BINS, LABEL_DELAYS
from pipemon.units import le

SPEC = """\
pipeline: past
owner: team
scrape_interval: 30s
stages: {hear: {features: {output.sure: ratio}}}
defaults: {for: 2m}
failure_modes:
  nobody-labels: {what: x, stage: hear, signal: labelled, below: 50%, window: 20m}
  late: {what: x, stage: hear, signal: {label_delay: p90}, above: 6h, window: 20m}
  too-sure: {what: x, stage: hear, signal: calibration, above: 20%, window: 20m, min_calls: 100}
  wrong: {what: x, stage: hear, signal: wrong_ratio, above: 30%, window: 20m}
  unsure: {what: x, stage: hear, signal: {estimated_accuracy: output.sure}, below: 70%, window: 20m}
  more-are-wrong: {what: x, stage: hear, signal: {cusum: wrong_ratio}, above: 12%}
"""
STEP = 30
_EACH = 40
"""Answers a step."""
_FAULTS = {"unlabelled": (20, 50), "wrong": (70, 105), "slow": (125, 160), "unsure": (180, 215)}
_WORD = {True: "yes", False: "no"}
_SURE, _UNSURE = ("1.0", 0.95), ("0.6", 0.55)


def learned_past(hours: float, seed: int = 1) -> Values:
    """Return what a process exported of its labels; each failure mode of SPEC comes and goes once, or more often."""
    chance = random.Random(seed)
    found: dict[str, list[float | None]] = {}
    counts: dict[str, float] = {}
    steps = round(hours * 3600 / STEP) + 1
    place = 'pipeline="past",version="1",track="stable",stage="hear"'

    def add(name: str, amount: float, labels: str = "") -> None:
        series = f"pipemon_{name}{{{place}{labels}}}"
        counts[series] = counts.get(series, 0.0) + amount

    for step in range(steps):
        now = {name for name, (begin, end) in _FAULTS.items() if begin <= step < end}
        confidences = [_UNSURE if chance.random() < (0.9 if "unsure" in now else 0.2) else _SURE for _ in range(_EACH)]
        labelled = [each for each in confidences if chance.random() < (0.2 if "unlabelled" in now else 0.9)]
        right = [chance.random() < confidence - 0.4 * ("wrong" in now) for _, confidence in labelled]
        add("stage_calls_total", _EACH)
        add("labels_expected_total", _EACH)
        add("labels_arrived_total", len(labelled))
        for bound in (*LABEL_DELAYS, float("inf")):
            soon = sum(chance.random() < 0.7 or "slow" not in now for _ in labelled) if 60 <= bound < 86_400 else 0
            add("label_delay_seconds_bucket", len(labelled) if bound >= 86_400 else soon, f',le="{le(bound)}"')
        for bin, confidence in (_SURE, _UNSURE):
            mine = [correct for (each, _), correct in zip(labelled, right, strict=True) if each == bin]
            add("calibration_confidence_total", confidence * len(mine), f',confidence_bin="{bin}"')
            for correct in (True, False):
                add("calibration_total", mine.count(correct), f',confidence_bin="{bin}",correct="{_WORD[correct]}"')
        feature = ',direction="output",feature="sure"'
        for upper in (*CONFIDENCE_BINS, "+Inf"):
            add("feature_value_bucket", _up_to(upper, confidences), f'{feature},le="{upper}"')
        for series, value in counts.items():
            found.setdefault(series, [None] * steps)[step] = value
    return found


def _up_to(bound: str, confidences: list[tuple[str, float]]) -> int:
    return sum(bound == "+Inf" or float(bin) <= float(bound) for bin, _ in confidences)
