"""A table of training data, and windows of live rows: what the generated rules make of them in promtool."""

from __future__ import annotations

import re

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from benchmarks.drift.datasets import Table
from benchmarks.drift.replay import exported, replay
from pipemon import Category, Feature, Pipeline
from pipemon.catalogue import OTHER
from pipemon.spec.baseline import FeatureBaseline


def table(random: np.random.Generator, rows: int, *, moved: bool) -> Table:
    pets = random.choice(["cat", "dog", "newt"] if moved else ["cat", "dog"], rows)
    return {"moved": random.normal(0.8 if moved else 0.0, 1, rows), "still": random.normal(5, 2, rows), "pet": pets}


def labelled(text: str) -> tuple[str, frozenset[tuple[str, str]]]:
    """A series by its name and labels, in whatever order it has them."""
    return text.partition("{")[0], frozenset(re.findall(r'(\w+)="([^"]*)"', text))


def last(values: str) -> float:
    """The last value of a series in promtool's notation, such as 1+2x9 or 1x9."""
    start, _, times = values.rsplit(maxsplit=1)[-1].partition("x")
    value, _, step = start.partition("+")
    return float(value) + float(step or 0) * float(times)


def test_what_is_replayed_is_what_a_service_exports() -> None:
    random = np.random.default_rng(4)
    rows = {
        "level": np.concatenate([random.normal(size=40).round(1), [np.nan, np.inf, -np.inf, -0.0]]),
        "pet": np.concatenate([random.choice(["cat", "dog", "newt"], 40), ["", "other", "Cat", ""]]),
    }
    base = {
        "level": FeatureBaseline(0.0, 1.0, 9.0, bounds=(-1.0, -0.3, 0.0, 0.7), shares=(0.2,) * 5),
        "pet": FeatureBaseline(0.0, 0.0, 9.0, categories={"cat": 0.5, "dog": 0.5, OTHER: 0.0}),
    }
    replayed = {
        labelled(series): last(values)
        for name, each in base.items()
        for series, values in exported(name, each, [rows[name]])
    }
    registry = CollectorRegistry()
    pipeline = Pipeline("replay", version="1", registry=registry)
    features = [
        Feature("level", lambda row: row[0], bounds=base["level"].bounds),
        Category("pet", lambda row: row[1], categories=("cat", "dog")),
    ]

    @pipeline.stage("model", inputs={"row": features})
    def model(row: tuple[float, str]) -> tuple[float, str]:
        return row

    for row in zip(rows["level"].tolist(), rows["pet"].tolist(), strict=True):
        model(row)
    found = {
        (sample.name, frozenset((name, value) for name, value in sample.labels.items() if name != "unit")): sample.value
        for family in registry.collect()
        for sample in family.samples
    }
    assert {name: found.get(name) for name in replayed} == replayed
    assert len(replayed) == 5 + 3 + 2 * 3


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
