"""A table of training data, and windows of live rows: what the generated rules make of them in promtool."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.drift.datasets import Table
from benchmarks.drift.replay import replay


def table(random: np.random.Generator, rows: int, *, moved: bool) -> Table:
    pets = random.choice(["cat", "dog", "newt"] if moved else ["cat", "dog"], rows)
    return {"moved": random.normal(0.8 if moved else 0.0, 1, rows), "still": random.normal(5, 2, rows), "pet": pets}


@pytest.mark.integration
def test_what_moved_fires_in_its_window_and_what_did_not_is_silent() -> None:
    random = np.random.default_rng(8)
    modes = {name: {"what": "x", "signal": {"drift": f"input.{name}"}} for name in ("moved", "still", "pet")}
    features = {"moved": "count", "still": "count", "pet": ["cat", "dog"]}
    live = [table(random, 3000, moved=index >= 2) for index in range(3)]
    before, still_before, since = replay(features, modes, table(random, 5000, moved=False), live)
    assert not before.fired
    assert not still_before.fired
    assert since.fired == {"ReplayMoved", "ReplayPet"}
