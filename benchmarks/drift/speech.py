"""Which stage of the real speech cascade moved first, under faults of its input and of its detector.

Every recording of examples/speech goes through its stages once for each fault; calls are then drawn from these, in the
order of its traffic. Scores, sums and origins are the rules' own arithmetic in numpy, as `emulation` has it; the test
of the example's alerts has the same from the generated rules.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.drift.emulation import Array, counts, cumulated, values_of
from benchmarks.drift.origin import AGES
from benchmarks.drift.tables import Table
from pipemon.demo.programs import default_cache
from pipemon.generate.drift.constants import Reference
from pipemon.generate.drift.onset import ENOUGH, LIMIT, TOGETHER, TRIFLE
from pipemon.generate.drift.watched import references, watched
from pipemon.spec.cusum import STEP
from pipemon.spec.load import load

EXAMPLE = Path(__file__).parents[2] / "examples" / "speech"
BEFORE = 15
"""Steps of good calls before the fault: an hour."""
RATES = (2.8, 0.15)
"""Calls a second: the example's, and hardly enough for a step to count."""
Side = tuple[str, str]
"""A stage and direction."""
Calls = Mapping[str, Array]
"""Of each feature its value for each recording, NaN where there is none."""


class Scene(NamedTuple):
    """A fault, its strength, and what moves first."""

    what: str
    fault: str
    strength: float
    origin: Side


SCENES = (
    Scene("detector in mode 3", "aggressive_vad", 3.0, ("vad", "output")),
    Scene("noise, 20 dB below the speech", "noise", 20.0, ("vad", "input")),
    Scene("telephone band", "telephone_band", 1.0, ("vad", "input")),
    Scene("gain, -20 dB", "gain", -20.0, ("vad", "input")),
    Scene("new words", "new_words", 0.4, ("asr", "output")),
    Scene("phones that take noise away", "better_phones", 15.0, ("vad", "input")),
)


def speech(random: np.random.Generator, runs: int) -> Table:
    """Return the table, each share of `runs` orders of calls."""
    sys.path.insert(0, str(EXAMPLE))
    spec = load(EXAMPLE / "failure_modes.yaml")
    watches = references(spec, watched(spec))
    good = _measured(watches, None, None)
    rows = []
    for scene in SCENES:
        bad = _measured(watches, scene.fault, scene.strength)
        row = [scene.what, *(f"{_apart(each, bad):.2f}" for each in watches), " ".join(scene.origin)]
        for rate in RATES:
            named = [_named(watches, good, bad, random, rate) for _ in range(runs)]
            row += [f"{np.mean([run[age] == scene.origin for run in named]):.2f}" for age in AGES]
        rows.append(row)
    about = (
        f"{len(next(iter(good.values())))} real recordings through examples/speech; one baseline, of good calls. "
        "First how far each feature that is watched is from it: wasserstein, whose alert fires above 0.25. Then in "
        f"what share of {runs} orders of calls the right one is named as moved first, at two rates of calls, so long "
        f"after the fault began; {BEFORE * STEP / 3600:.0f} h of good calls before it. At {RATES[1]:g} a second a "
        f"step has {RATES[1] * STEP:.0f}; under {ENOUGH} none counts."
    )
    head = [
        "fault",
        *(f"{each.stage} {each.direction}: {each.feature}" for each in watches),
        "moves first",
        *(f"{age} at {rate:g}/s" for rate in RATES for age in AGES),
    ]
    return Table("The speech cascade", about, head, rows)


def _measured(watches: Iterable[Reference], fault: str | None, strength: float | None) -> Calls:
    import margins  # noqa: PLC0415 - of the example, and only where it is measured
    import recordings  # noqa: PLC0415

    every = recordings.find(default_cache()) or recordings.fetch(default_cache())
    calls = [margins.measure(recording, fault, strength) for recording in every]
    return {
        each.feature: np.array([np.nan if (value := call.get(each.feature)) is None else value for call in calls])
        for each in watches
    }


def _apart(watch: Reference, calls: Calls) -> float:
    values = calls[watch.feature]
    live = counts(np.repeat(values[~np.isnan(values)], 1000)[None], np.asarray(watch.baseline.bounds))
    return float(values_of(watch, live, "wasserstein")[0])


def _named(
    watches: tuple[Reference, ...], good: Calls, bad: Calls, random: np.random.Generator, rate: float
) -> dict[str, Side | None]:
    """Return which side is named at each age of a fault, for one order of calls."""
    steps, each = BEFORE + max(AGES.values()), round(rate * STEP)
    recordings = len(next(iter(good.values())))
    rounds = np.tile(np.arange(recordings), (-(-steps * each // recordings), 1))
    order = random.permuted(rounds, axis=1).ravel()[: steps * each].reshape(steps, each)
    z = np.array(
        [
            np.concatenate(
                [
                    _scores(watch, good[watch.feature][order[:BEFORE]]),
                    _scores(watch, bad[watch.feature][order[BEFORE:]]),
                ]
            )
            for watch in watches
        ]
    )
    sums, zeros = np.zeros((2, len(watches))), np.zeros((2, len(watches)))
    found: dict[str, Side | None] = {}
    for step in range(steps):
        sums = cumulated(sums, z[:, step], LIMIT)
        zeros = np.where(sums > 0, zeros, step)
        for age, after in AGES.items():
            if step + 1 == BEFORE + after:
                found[age] = _first(watches, np.where(sums > LIMIT, zeros, np.inf).min(0))
    return found


def _scores(watch: Reference, values: Array) -> Array:
    """Return the standard score of each step, shape (steps,), from its values, shape (steps, calls)."""
    base, known = watch.baseline, (~np.isnan(values)).sum(1)
    error = np.maximum(TRIFLE, np.sqrt(base.effect_on_sums * (1 / np.maximum(known, 1) + 1 / base.count)))
    scores = (np.nansum(values, 1) / np.maximum(known, 1) - base.mean) / base.sd / error
    return np.where(known >= ENOUGH, scores, 0.0)


def _first(watches: tuple[Reference, ...], since: Array) -> Side | None:
    """Return the side furthest upstream of those that moved together with the first; watches are in no order."""
    if not np.isfinite(since.min()):
        return None
    order = (("vad", "input"), ("vad", "output"), ("asr", "output"))
    moved = {(w.stage, w.direction) for w, at in zip(watches, since, strict=True) if at <= since.min() + TOGETHER}
    return min(moved, key=order.index)
