"""Which stage moved first, in a diamond of five stages, each broken in turn: how often the right one is named.

The rules' own arithmetic in numpy, as `emulation` has it; tests hold the same sums, onsets and origins to promtool's.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

from benchmarks.drift.emulation import Array, cumulated
from benchmarks.drift.tables import Table
from pipemon.generate.drift.onset import LIMIT, TOGETHER
from pipemon.spec.cusum import STEP

Side = tuple[str, str, str]
"""A stage, direction and feature."""
AFTER = {"a": "bcde", "b": "de", "c": "de", "d": "e", "e": ""}
"""What comes after each stage: a before b and c, these before d, d before e."""
SIDES: tuple[Side, ...] = tuple((stage, direction, "x") for stage in AFTER for direction in ("input", "output"))
"""In the order of the topology."""
SCENES = {"input": ("a", "input")} | {stage: (stage, "output") for stage in AFTER}
"""What moves first: the input of the whole, or a stage's output."""

BEFORE = 300
"""Steps without drift before it begins: 20 hours."""
_HOUR = 3600 / STEP
AGES = {"12 minutes": 3, "4 hours": round(4 * _HOUR), "24 hours": round(24 * _HOUR)}
"""Steps since it began, at whose end it is asked what moved first."""
SIZES = (3.0, 4.0, 6.0, 10.0)
"""Shifts of what moves first, in standard errors of a step."""
EFFECTS = (4.0, 20.0)
"""The least and the most shift of each effect, which may be larger than its cause's."""


def moved_with(stage: str, direction: str) -> set[tuple[str, str]]:
    """Return what moves when a side of a stage does: itself and all that comes after it."""
    follow = {(s, d) for s in AFTER[stage] for d in ("input", "output")}
    return {(stage, direction), *follow, *([("a", "output")] if direction == "input" else [])}


def right(
    random: Generator, scene: str, size: float, runs: int, ages: Sequence[int], together: Sequence[int] = (TOGETHER,)
) -> Array:
    """Return in what share of `runs` the right side is named, shape (ages, together).

    `together` are steps within which moves count as one. Nothing named is not right.
    """
    moved, cause = moved_with(*SCENES[scene]), [each[:2] for each in SIDES].index(SCENES[scene])
    shift = np.where([each[:2] in moved for each in SIDES], random.uniform(*EFFECTS, (runs, len(SIDES))), 0.0)
    shift[:, cause] = size
    sums, zeros = np.zeros((2, shift.size)), np.zeros((2, shift.size))
    found = []
    for step in range(BEFORE + max(ages)):
        sums = cumulated(sums, random.normal(size=shift.size) + shift.ravel() * (step >= BEFORE), LIMIT)
        zeros = np.where(sums > 0, zeros, step)
        if step + 1 - BEFORE in ages:
            since = np.where(sums > LIMIT, zeros, np.inf).min(0).reshape(shift.shape)
            first = since.min(1, keepdims=True)
            known = np.isfinite(first[:, 0])
            found.append([float((known & ((since <= first + one).argmax(1) == cause)).mean()) for one in together])
    return np.asarray(found)


def origin(random: Generator, runs: int) -> Table:
    """Return how often the right origin is named, by what broke, by how much, and at which age."""
    hour, ages = round(_HOUR), tuple(AGES.values())
    rows = []
    for size in SIZES:
        for scene in SCENES:
            shares = right(random, scene, size, runs, ages, (TOGETHER, hour))
            rows.append([f"{size:g}", scene, *(f"{100 * share:.1f}%" for share in (*shares[:, 0], shares[-1, 1]))])
    about = (
        f"A diamond of five stages, one number on each side of each, in {runs:,} runs: {BEFORE} steps of "
        f"{STEP / 60:g} minutes in which nothing moves, then the output of one stage, or the input of the whole, by so "
        "many standard errors of a step, and all that comes after it by "
        f"{EFFECTS[0]:g} to {EFFECTS[1]:g} each. Right is what moved first, named so long after it began; nothing "
        "named is wrong, and so is what moved by chance at another place. Of a small shift three steps are too few to "
        "tell. The last column takes moves within one hour as one, in place of two. The standard error of 99% is "
        f"{100 * np.sqrt(0.99 * 0.01 / runs):.1f}%."
    )
    head = ["shift", "broken", *AGES, "24 hours, with one hour"]
    return Table("Which stage moved first", about, head, rows)
