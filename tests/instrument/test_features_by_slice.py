"""A feature kept apart by groups of calls: each is observed in its own calls only, and has a baseline of its own."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

import pipemon
from pipemon import Category, DeclarationError, Feature
from pipemon.features import by, length, value

DEVICES = ["phone", "desk"]


class Heard(NamedTuple):
    level: float | None
    device: str
    language: str = "en"


LEVEL = Feature("level", lambda heard: heard.level, unit="dBFS")
LANGUAGE = Category("language", lambda heard: heard.language, categories=("en", "de"))


def device(heard: Heard) -> str:
    return heard.device


def counted(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(
        name, {"pipeline": "speech", "stage": "hear", "version": "1", "track": "stable", "direction": "input"} | labels
    )


CALLS = [
    Heard(-20.0, "phone"), Heard(-22.0, "phone", "de"), Heard(None, "phone"), Heard(-50.0, "desk"), Heard(-1.0, "car"),
]  # fmt: skip


@pytest.mark.parametrize("batch", [False, True], ids=["one by one", "in a batch"])
def test_each_group_is_observed_in_its_own_calls_and_missing_in_no_others(*, batch: bool) -> None:
    registry = CollectorRegistry()
    speech = pipemon.Pipeline("speech", version="1", registry=registry)
    features = [*by(LEVEL, DEVICES, device), *by(LANGUAGE, DEVICES, device)]

    @speech.stage("hear", batch=batch, inputs={"heard": features})
    def hear(heard: object) -> list[object]:
        return [heard]

    for call in [CALLS] if batch else CALLS:
        hear(call)
    registry.collect()

    def told(name: str, feature: str, **more: str) -> float | None:
        return counted(registry, f"pipemon_feature_{name}", feature=feature, **more)

    assert (told("observed_total", "level_phone"), told("missing_total", "level_phone")) == (3, 1)
    assert (told("observed_total", "level_desk"), told("missing_total", "level_desk")) == (1, 0)
    assert told("value_bucket", "level_phone", le="+Inf") == 2
    assert told("sum_total", "level_desk", sign="negative") == 50
    assert told("category_total", "language_phone", category="de") == 1
    assert told("category_total", "language_phone", category="en") == 2
    assert told("category_total", "language_desk", category="en") == 1
    assert (told("observed_total", "language_desk"), told("missing_total", "language_desk")) == (1, 0)


def test_a_ready_made_feature_of_a_whole_batch_is_kept_apart_too() -> None:
    registry = CollectorRegistry()
    speech = pipemon.Pipeline("speech", version="1", registry=registry)
    short_or_long = by(length("words"), ["short", "long"], lambda text: "short" if len(text) < 3 else "long")

    @speech.stage("hear", batch=True, inputs={"texts": [*short_or_long, *by(value("n"), ["a"], lambda text: "a")]})
    def hear(texts: list[list[str]]) -> list[int]:
        return [len(text) for text in texts]

    hear([["a"], ["a", "b"], ["a"] * 7])
    registry.collect()
    assert counted(registry, "pipemon_feature_sum_total", feature="words_short", sign="positive") == 3
    assert counted(registry, "pipemon_feature_sum_total", feature="words_long", sign="positive") == 7
    assert counted(registry, "pipemon_feature_observed_total", feature="words_long") == 1


def test_each_group_learns_a_baseline_of_its_own(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    speech = pipemon.Pipeline("speech", version="1", registry=CollectorRegistry())

    @speech.stage("hear", inputs={"heard": [LEVEL, *by(LEVEL, DEVICES, device)]})
    def hear(heard: Heard) -> Heard:
        return heard

    with pipemon.learning(speech) as learned:
        for _ in range(1500):
            hear(Heard(random.normal(-20, 2), "phone"))
            hear(Heard(random.normal(-50, 4), "desk"))
    found = learned.baseline.features
    assert found["hear.input.level"].count == 3000
    for name, mean, sd in (("phone", -20, 2), ("desk", -50, 4)):
        entry = found[f"hear.input.level_{name}"]
        assert (entry.count, entry.missing) == (1500, 0)
        assert entry.mean == pytest.approx(mean, abs=0.5)
        assert entry.sd == pytest.approx(sd, rel=0.1)


@pytest.mark.parametrize(
    ("members", "of", "why"),
    [
        ("phone", device, "list the members"),
        ([], device, "list the members"),
        ([f"d{i}" for i in range(11)], device, "11 members; at most 10"),
        (["phone", "phone"], device, "twice"),
        (["a phone"], device, "use letters, digits"),
        ([3], device, "is not a text"),
        (DEVICES, "device", "must be a function"),
    ],
)
def test_what_would_make_too_many_series_or_no_names_is_refused(members: object, of: object, why: str) -> None:
    with pytest.raises(DeclarationError, match=why):
        by(LEVEL, members, of)  # type: ignore[arg-type]
