"""A past of two days and a half: words are others for some hours of the second day, and not in those of the third."""

from __future__ import annotations

import random

from past import Values

SPEC = """\
pipeline: past
owner: team
scrape_interval: 2m
stages: {hear: {features: {input.word: [left, right]}}}
failure_modes:
  unlike-yesterday:
    what: x
    stage: hear
    signal: {drift: input.word}
    against: same hour yesterday
    window: 2h
    for: 10m
    keep_firing_for: 30m
"""
STEP = 120
HOURS = 60
OTHERS = (28, 34)
"""In which hours words are others."""


def daily_past(seed: int = 1) -> Values:
    """Return what a process exported."""
    chance, found, total = random.Random(seed), dict[str, list[float | None]](), {"left": 0.0, "right": 0.0}
    place = 'pipeline="past",stage="hear",track="stable",version="1",direction="input",feature="word"'
    for step in range(HOURS * 3600 // STEP + 1):
        others = OTHERS[0] <= step * STEP / 3600 < OTHERS[1]
        for word in chance.choices(("left", "right"), (0.9, 0.1) if others else (0.5, 0.5), k=10):
            total[word] += 1
        for word, count in total.items():
            found.setdefault(f'pipemon_feature_category_total{{{place},category="{word}"}}', []).append(count)
        found.setdefault(f'pipemon_feature_info{{{place},bins=""}}', []).append(1.0)
        calls = 'pipemon_stage_calls_total{pipeline="past",stage="hear",track="stable",version="1"}'
        found.setdefault(calls, []).append(10.0 * step)
    return found
