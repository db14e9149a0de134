"""The baseline file: what is written is read back; what is not one is refused in a sentence."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipemon.errors import SpecError
from pipemon.spec.baseline import Baseline, FeatureBaseline, dump, feature_key, load

numbers = st.floats(allow_nan=False, allow_infinity=False)
sizes = st.floats(min_value=0, allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
features = st.builds(
    FeatureBaseline,
    numbers,
    sizes,
    sizes,
    texts,
    st.sets(numbers, max_size=5).map(lambda bounds: tuple(sorted(bounds))),
)
baselines = st.builds(Baseline, texts, numbers, numbers, st.dictionaries(texts, features, max_size=4))
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["pipeline", "from", "to", "features", "mean", "sd", "count", "bounds"]), inner
        )
    ),
    max_leaves=12,
)


def written(text: str) -> Path:
    with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False, encoding="utf-8") as file:
        file.write(text)
    return Path(file.name)


@given(baselines)
def test_what_is_written_is_read_back(baseline: Baseline) -> None:
    path = written(dump(baseline))
    try:
        assert load(path) == baseline
    finally:
        path.unlink()


def test_the_same_baseline_is_the_same_bytes_in_any_order() -> None:
    one, other = FeatureBaseline(1, 2, 3), FeatureBaseline(4, 5, 6)
    forwards = Baseline("speech", 1, 2, {"a": one, "b": other})
    assert dump(forwards) == dump(Baseline("speech", 1, 2, {"b": other, "a": one}))
    assert dump(forwards).endswith("\n")


def test_what_is_not_finite_is_not_written() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        dump(Baseline("speech", 1, 2, {"a": FeatureBaseline(float("nan"), 1, 1)}))


def test_a_feature_is_named_by_its_stage_and_side() -> None:
    assert feature_key("vad", "input", "level_dbfs") == "vad.input.level_dbfs"


@given(documents)
def test_any_json_is_a_baseline_or_refused(document: object) -> None:
    path = written(json.dumps(document))
    try:
        told = [repr(load(path).pipeline)]
    except SpecError as refused:
        told = [problem.message for problem in refused.problems]
    finally:
        path.unlink()
    assert len(told) == 1


@pytest.mark.parametrize(
    "text", ["", "[" * 100_000, '{"from": ' + "9" * 5000 + "}", "\x00", "\ufeff{}", '{"a": 1e999}']
)
def test_any_text_is_a_baseline_or_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SpecError):
        load(path)


def test_a_file_that_is_not_there_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "b.json")
