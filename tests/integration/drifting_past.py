"""A past in which features drift from their baselines, alone and together, in two versions, once with other bins."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path

from past import STEP, Values

from pipemon.units import fingerprint, le

SPEC = """\
pipeline: past
owner: team
scrape_interval: 30s
baseline: past.baseline.json
multiple_testing: benjamini-hochberg
defaults: {for: 1m}
stages: {hear: {features: {input.level: dBFS, input.rate: ratio, input.word: [left, right, stop]}}}
failure_modes:
  louder: {what: x, stage: hear, signal: {drift: input.level}, window: 10m}
  far-louder: {what: x, stage: hear, signal: {drift: wasserstein of input.level}, above: 0.6, window: 10m}
  slower: {what: x, stage: hear, signal: {drift: ks of input.rate}, window: 10m}
  other-words: {what: x, stage: hear, signal: {drift: js of input.word}, above: 0.1, window: 10m}
  several: {what: x, stage: hear, signal: features_moved, window: 10m}
"""
BOUNDS = {"level": (-40.0, -30.0, -20.0, -10.0), "rate": (0.2, 0.5, 0.8)}
SHARES = {"level": (0.1, 0.3, 0.3, 0.2, 0.1), "rate": (0.25, 0.25, 0.25, 0.25), "word": (0.5, 0.3, 0.2)}
MOVED = {"level": (0.02, 0.1, 0.3, 0.3, 0.28), "rate": (0.1, 0.2, 0.3, 0.4), "word": (0.3, 0.3, 0.2, 0.2)}
WORDS = ("left", "right", "stop", "other")
_EACH = 30
"""Calls a step."""
_FAULTS = {"level": [(40, 90), (170, 200)], "word": [(60, 110)], "rate": [(80, 110)]}
_OTHER_BINS = (206, 215)
Tell = Callable[[str, str, float, int], None]
"""Of a metric, labels, a value and the step at which it is told."""


def write_spec(folder: Path, text: str = SPEC) -> Path:
    """Write the failure modes and the baseline that they are compared with; return the file of failure modes."""
    features: dict[str, object] = {
        f"hear.input.{name}": {"mean": 0.0, "sd": 12.0, "count": 5000, "bounds": bounds, "shares": SHARES[name]}
        for name, bounds in BOUNDS.items()
    }
    words = dict(zip(WORDS, SHARES["word"], strict=False))
    features["hear.input.word"] = {"mean": 0.0, "sd": 0.0, "count": 5000, "categories": words}
    document = {"pipeline": "past", "from": 0, "to": 1, "features": features}
    (folder / "past.baseline.json").write_text(json.dumps(document))
    (folder / "past.yaml").write_text(text)
    return folder / "past.yaml"


def drifting_past(hours: float, seed: int = 1) -> Values:
    """Return what a process exported; each failure mode of SPEC comes and goes."""
    chance = random.Random(seed)
    steps = round(hours * 3600 / STEP) + 1
    found: dict[str, list[float | None]] = {}
    counts: dict[str, float] = {}
    place = 'pipeline="past",stage="hear",track="stable",direction="input"'

    def told(name: str, labels: str, value: float, step: int) -> None:
        found.setdefault(f"pipemon_{name}{{{place},{labels}}}", [None] * steps)[step] = value

    def add(name: str, labels: str, amount: float, step: int) -> None:
        key = name + labels
        counts[key] = counts.get(key, 0.0) + amount
        told(name, labels, counts[key], step)

    for step in range(steps):
        version = f'version="{1 if step < 130 else 2}"'
        add("stage_calls_total", version, _EACH, step)
        for name, usual in SHARES.items():
            drifts = any(begin <= step < end for begin, end in _FAULTS[name])
            shares = MOVED[name] if drifts else usual
            drawn = chance.choices(range(len(shares)), shares, k=_EACH)
            labels = f'feature="{name}",{version}'
            changed = name == "level" and _OTHER_BINS[0] <= step < _OTHER_BINS[1]
            tell(add, told, step, name, labels, drawn, "other" if changed else "")
    return found


def tell(add: Tell, told: Tell, step: int, name: str, labels: str, drawn: list[int], bins: str = "") -> None:
    """Count the places of a feature's values in its bins, or among the WORDS; `bins` are its own, unless given."""
    if name == "word":
        for at, word in enumerate(WORDS):
            add("feature_category_total", f'{labels},category="{word}"', drawn.count(at), step)
        told("feature_info", f'{labels},bins=""', 1.0, step)
        return
    bounds = BOUNDS[name]
    up_to = accumulate(drawn.count(at) for at in range(len(bounds) + 1))
    for bound, count in zip((*map(le, bounds), "+Inf"), up_to, strict=True):
        add("feature_value_bucket", f'{labels},le="{bound}"', count, step)
    told("feature_info", f'{labels},bins="{bins or fingerprint(bounds)}"', 1.0, step)
