"""Budgets are added along the slowest way through the cascade, and can't be more than the whole."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipemon.spec.budgets import budget_words, check_budgets, critical_path, spent
from pipemon.spec.fields import Report
from pipemon.spec.reader import parse
from pipemon.topology import StageShape

VAD = StageShape("vad", (), 0.05)
ASR = StageShape("asr", ("vad",), 0.3)
SPEAKER = StageShape("speaker", ("vad",), 0.1)
ANSWER = StageShape("answer", ("asr", "speaker"))


@pytest.mark.parametrize(
    ("budget", "stages", "words"),
    [
        (0.5, (VAD, ASR), "vad 50 + asr 300 of 500 ms: 150 ms unassigned"),
        (0.5, (VAD, ASR, SPEAKER), "vad 50 + asr 300 of 500 ms: 150 ms unassigned"),
        (0.5, (VAD, ASR, SPEAKER, ANSWER), "vad 50 + asr 300 of 500 ms: 150 ms unassigned, for answer"),
        (0.35, (VAD, ASR), "vad 50 + asr 300 of 350 ms: all of it is assigned"),
        (60.0, (StageShape("ocr", (), 12.5),), "ocr 12.5 of 60 s: 47.5 s unassigned"),
        (0.3, (StageShape("a", (), 0.1), StageShape("b", ("a",), 0.2)),
         "a 100 + b 200 of 300 ms: all of it is assigned"),
        (0.2, (VAD, ASR), "vad 50 + asr 300 of 200 ms: 150 ms more than there is"),
        (None, (VAD, ASR), ""),
        (0.5, (ANSWER,), ""),
        (0.5, (), ""),
    ],
)  # fmt: skip
def test_the_sum_is_said_as_people_say_it(budget: float | None, stages: tuple[StageShape, ...], words: str) -> None:
    assert budget_words(budget, stages) == words


def test_more_than_the_whole_is_a_fault_where_the_budget_stands() -> None:
    root = parse("pipeline: speech\nbudget: 200ms\n", "speech.yaml")
    report = Report("speech.yaml")
    check_budgets(report, root, 0.35, (VAD, ASR))
    assert report.problems == []
    check_budgets(report, root, 0.2, (VAD, ASR))
    assert [str(problem) for problem in report.problems] == [
        "speech.yaml:2:9: budget: vad 50 + asr 300 of 200 ms: 150 ms more than there is [budget]"
    ]


def test_stages_beside_each_other_are_not_added() -> None:
    both = (StageShape("left", (), 0.3), StageShape("right", (), 0.3))
    assert spent(critical_path(both)) == 0.3


@given(st.lists(st.tuples(st.floats(0, 10), st.sets(st.integers(0, 7))), max_size=8))
def test_no_way_through_takes_longer_than_the_critical_one(drawn: list[tuple[float, set[int]]]) -> None:
    stages = [
        StageShape(f"s{i}", tuple(f"s{j}" for j in sorted(before) if j < i), budget)
        for i, (budget, before) in enumerate(drawn)
    ]

    def longest(stage: StageShape) -> float:
        upstream = [other for other in stages if other.name in (stage.after or ())]
        return (stage.budget or 0.0) + max(map(longest, upstream), default=0.0)

    path = critical_path(stages)
    assert spent(path) == pytest.approx(max(map(longest, stages), default=0.0), abs=1e-5)
    assert all(before.name in (after.after or ()) for before, after in pairwise(path))
