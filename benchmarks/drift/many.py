"""Many features of a stage: what sharing its false alarms costs, evenly or by how many have moved."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.random import Generator

from benchmarks.drift.emulation import Array, counts, evidence, learned, stepped_up
from benchmarks.drift.tables import Table, percent
from pipemon.generate.drift.constants import ALPHA, Reference
from pipemon.generate.drift.watched import ranks_of

LIVE, SIZE = 1000, 20_000
SHIFT = 0.15
"""How far the means that move do, in standard deviations: what a single feature shows two times in three or so."""


def many(random: Generator, baselines: int, windows: int) -> Table:
    """Return how often a moved feature is seen, how many of those said to have moved have not, and false alarms."""
    rows = []
    for number in (1, 10, 50, 200):
        for moved in sorted({0, 1, number // 5, number // 2, number}):
            found = [_found(random, number, moved, windows) for _ in range(max(2, baselines // number))]
            cells = []
            for way in (0, 1):
                said = np.concatenate([each[way] for each in found], axis=1)
                right, wrong = said[:moved].sum(0), said[moved:].sum(0)
                share = float((wrong / np.maximum(1, right + wrong)).mean())
                cells.append((percent(float(said[:moved].mean())) if moved else "", percent(share)))
            rows.append([str(number), str(moved), *(cell for pair in zip(*cells, strict=True) for cell in pair)])
    about = (
        f"Independent normal features of a stage at its 1%, {LIVE:,} values a window, baselines of {SIZE:,}; the means "
        f"of some are off by {SHIFT} standard deviations; wasserstein, in numpy, which a test holds to the rules. "
        "Seen: the share of those that moved. Wrong: of all that are said to have moved the share that has not, 0 "
        "where none is; where nothing moved that is how often the stage says anything."
    )
    head = [
        "features", "moved", "seen, Bonferroni", "Benjamini-Hochberg", "wrong, Bonferroni", "Benjamini-Hochberg"
    ]  # fmt: skip
    return Table("Many features", about, head, rows)


def _found(random: Generator, number: int, moved: int, windows: int) -> tuple[Array, Array]:
    """Return which features are said to have moved, shape (features, windows), evenly and by ranks; the first have."""
    ranks = ranks_of(number)
    references, live = [], []
    for index in range(number):
        base = learned(random.normal(size=SIZE), 10)
        references.append(Reference("hear", "input", f"f{index}", base, alpha=ALPHA / number, ranks=ranks))
        values = random.normal(SHIFT * (index < moved), size=(windows, LIVE))
        live.append(counts(values, np.asarray(base.bounds)))
    alone = [replace(each, ranks=(1,)) for each in references]
    evenly = np.array(
        [evidence(each, rows, "wasserstein") > 1 for each, rows in zip(references, live, strict=True)], float
    )
    by_ranks = stepped_up(references if ranks else alone, live, "wasserstein")
    return evenly, by_ranks.astype(float)
