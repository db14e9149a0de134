"""Where to collect more data: shares, gaps and their intervals."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipemon.slices.command import is_more_better
from pipemon.slices.command import slices as command
from pipemon.slices.ranking import FEWEST, Interval, Slice, normal, ranked, wilson
from pipemon.slices.reading import Measured
from pipemon.spec.load import load
from pipemon.spec.model import Spec


def test_wilsons_interval_is_that_of_the_literature() -> None:
    # Newcombe, Statistics in Medicine 17 (1998), table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29, method 3.
    for bad, count, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611)):
        found = wilson(bad, count)
        assert [found.low, found.high] == pytest.approx([low, high], abs=5e-5)
    assert wilson(1, 29).high == pytest.approx(0.1718, abs=5e-5)


def test_a_means_interval_is_two_standard_errors_either_way() -> None:
    found = normal(10, 5, 100)
    assert [found.value, found.low, found.high] == pytest.approx([10, 9.020018, 10.979982])


def of(name: str, value: float, count: float, error: float = 0.01) -> Slice:
    return Slice(name, count, Interval(value, value - error, value + error))


def test_slices_are_ranked_by_share_times_gap_to_the_best_of_their_kind() -> None:
    young, old, other = of("age=young", 0.3, 200), of("age=old", 0.2, 600), of("age=other", 0.25, 200)
    phone, desk = of("device=phone", 0.5, 100), of("device=desk", 0.4, 900)
    rows = ranked([young, old, other, phone, desk])
    assert [(row.slice.name, round(row.share, 3), round(row.gap, 3), round(row.weight, 3)) for row in rows] == [
        ("age=young", 0.2, 0.1, 0.02),
        ("age=other", 0.2, 0.05, 0.01),
        ("device=phone", 0.1, 0.1, 0.01),
        ("age=old", 0.6, 0.0, 0.0),
        ("device=desk", 0.9, 0.0, 0.0),
    ]


def test_where_more_is_better_the_best_has_the_most() -> None:
    low, high = of("age=young", 0.7, 100), of("age=old", 0.9, 100)
    assert [(row.slice.name, round(row.gap, 3)) for row in ranked([low, high], higher_is_better=True)] == [
        ("age=young", 0.2),
        ("age=old", 0.0),
    ]


def test_a_gap_within_both_intervals_may_be_chance() -> None:
    young, old = of("age=young", 0.3, 200, 0.06), of("age=old", 0.2, 600, 0.05)
    assert [row.certain for row in ranked([young, old])] == [False, False]
    assert [row.certain for row in ranked([of("age=young", 0.32, 200, 0.06), old])] == [True, False]


def test_a_handful_of_good_ones_is_not_the_best() -> None:
    few, many, rest = of("age=young", 0.0, 5), of("age=old", 0.2, 600), of("age=other", 0.3, 100)
    rows = {row.slice.name: row for row in ranked([few, many, rest])}
    assert rows["age=other"].gap == pytest.approx(0.1)
    assert rows["age=young"].gap == 0


def test_the_smallest_slice_that_means_something_is_stated_and_kept_to() -> None:
    # All alike, so the interval has no width: a few such happen by chance.
    rest = of("age=old", 0.2, 600)
    few, enough = of("age=young", 1.0, FEWEST - 1, 0.0), of("age=young", 1.0, FEWEST, 0.0)
    assert [row.certain for row in ranked([few, rest])] == [False, False]
    assert [row.certain for row in ranked([enough, rest])] == [True, False]
    assert f"fewer than {FEWEST} observations" in (command.help or "")


def test_where_all_slices_are_small_none_is_certain() -> None:
    rows = ranked([of("age=young", 1.0, 5, 0.0), of("age=old", 0.0, 5, 0.0)])
    assert [row.certain for row in rows] == [False, False]


def spec_with(tmp_path: Path, below_or_above: str) -> Spec:
    limit = f", failure_modes: {{worse: {{what: x, stage: asr, signal: {{quality: q}}{below_or_above}}}}}"
    (tmp_path / "a.yaml").write_text(f"{{pipeline: a, owner: b, stages: {{asr: {{scores: [q]}}}}{limit}}}")
    return load(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("limit", "more"),
    [(", above: 0.2", False), (", below: 0.2", True), (", above: 1.5x last week", False), (", outside: [1, 2]", None)],
)
def test_a_failure_mode_says_whether_less_of_a_score_is_better(limit: str, more: bool | None, tmp_path: Path) -> None:
    spec = spec_with(tmp_path, limit)
    assert is_more_better(spec, Measured("asr", "q", ())) is more
    assert is_more_better(spec, Measured("tts", "q", ())) is None, "another stage's"


@pytest.mark.parametrize(
    ("name", "more"), [("brier", False), ("eval_wer", False), ("f1-macro", True), ("zeal", None), ("", False)]
)
def test_else_its_name_says_it_or_nobody_does(name: str, more: bool | None, tmp_path: Path) -> None:
    spec = spec_with(tmp_path, ", above: 0.2")
    assert is_more_better(spec, Measured("asr", name, ())) is more
