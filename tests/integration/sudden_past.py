"""A past whose rules read their own past: the hour before, kept as it was while the alert on it lasts, and sums."""

from __future__ import annotations

import random
from pathlib import Path

import drifting_past
from drifting_past import MOVED, SHARES
from past import Values

SPEC = """\
pipeline: past
owner: team
scrape_interval: 2m
baseline: past.baseline.json
defaults: {for: 4m}
stages: {hear: {features: {input.level: dBFS, input.rate: ratio, input.word: [left, right, stop]}}}
failure_modes:
  nulls: {what: x, stage: hear, signal: null_ratio, above: 2x last hour, keep_firing_for: 10m}
  accepted: {what: x, stage: hear, signal: null_ratio, above: 2x last hour, hold: 30m}
  adds-up: {what: x, stage: hear, signal: {cusum: null_ratio}, above: 12%}
  crowd:
    what: x
    stage: hear
    signals: {all: [{signal: null_ratio, above: 2x last hour}, {signal: in_progress, above: 5}]}
  louder: {what: x, stage: hear, signal: {drift: input.level}, pace: sudden}
  other-words: {what: x, stage: hear, signal: {drift: js of input.word}, pace: sudden, hold: 40m}
  faster: {what: x, stage: hear, signal: {drift: ks of input.rate}, pace: sudden}
  level: {what: x, stage: hear, signal: {shift: input.level}}
  spread: {what: x, stage: hear, signal: {shift: spread of input.rate}}
"""
STEP = 120
HOURS = 4
_EACH = 50
"""Calls a step."""
_FAULTS = {
    "nulls": [(40, 70), (76, 80), (100, 103)],
    "crowd": [(44, 52), (54, 60)],
    "level": [(40, 62), (72, 84)],
    "word": [(45, 92)],
    "rate": [(50, 66)],
}
"""In which steps what is otherwise than usual."""
_GONE = (104, 109)
"""In which steps nothing is scraped."""
_FAR = (0.5, 0.0, 0.0, 0.5)


def write_spec(folder: Path) -> Path:
    """Write the failure modes and the baseline; return the file of failure modes."""
    return drifting_past.write_spec(folder, SPEC)


def sudden_past(seed: int = 1) -> Values:
    """Return what a process exported; each failure mode of SPEC comes and goes."""
    chance, steps = random.Random(seed), HOURS * 3600 // STEP + 1
    found: dict[str, list[float | None]] = {}
    counts: dict[str, float] = {}
    place = 'pipeline="past",stage="hear",track="stable"'

    def told(name: str, labels: str, value: float, step: int) -> None:
        if not _GONE[0] <= step < _GONE[1]:
            found.setdefault(f"pipemon_{name}{{{place},{labels}}}", [None] * steps)[step] = value

    def add(name: str, labels: str, amount: float, step: int) -> None:
        counts[name + labels] = counts.get(name + labels, 0.0) + amount
        told(name, labels, counts[name + labels], step)

    for step in range(steps):
        now = {name for name, each in _FAULTS.items() if any(begin <= step < end for begin, end in each)}
        version = f'version="{1 if step < 66 else 2}"'
        add("stage_calls_total", version, _EACH, step)
        add("stage_skipped_total", version, 0, step)
        add("stage_failures_total", version, 0, step)
        nulls = sum(chance.random() < (0.4 if "nulls" in now else 0.05) for _ in range(_EACH))
        add("stage_null_outputs_total", version, nulls, step)
        told("stage_in_progress", version, chance.randint(2, 3) * (4 if "crowd" in now else 1), step)
        for name, usual in SHARES.items():
            shares = usual if name not in now else _FAR if name == "rate" else MOVED[name]
            drawn = chance.choices(range(len(shares)), shares, k=_EACH)
            labels = f'direction="input",feature="{name}",{version}'
            drifting_past.tell(add, told, step, name, labels, drawn)
    return found
