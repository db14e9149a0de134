"""The baseline file: what is written is read back; what is not one is refused in a sentence."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipemon.errors import SpecError
from pipemon.spec.baseline import EARLIEST, LATEST, Baseline, FeatureBaseline, dump, feature_key, load
from pipemon.units import fingerprint

numbers = st.floats(allow_nan=False, allow_infinity=False)
times = st.floats(EARLIEST, LATEST, exclude_max=True)
sizes = st.floats(min_value=0, allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
ratios = st.floats(0, 1)
quantiles = st.dictionaries(texts, numbers, max_size=2)


@st.composite
def shares(draw: st.DrawFn, size: int) -> tuple[float, ...]:
    weights = draw(st.lists(st.integers(1, 100), min_size=size, max_size=size))
    return tuple(weight / sum(weights) for weight in weights)


@st.composite
def features(draw: st.DrawFn) -> FeatureBaseline:
    """A number with its bins, known or not, or a category."""
    count, missing, effect = draw(sizes), draw(ratios), draw(st.floats(1, 100))
    if draw(st.booleans()):
        names = draw(st.sets(texts, min_size=1, max_size=4))
        categories = dict(zip(sorted(names), draw(shares(len(names))), strict=True))
        return FeatureBaseline(0, 0, count, missing=missing, design_effect=effect, categories=categories)
    bounds = tuple(sorted(draw(st.sets(numbers, max_size=5))))
    known = draw(shares(len(bounds) + 1)) if draw(st.booleans()) else ()
    numeric = draw(numbers), draw(sizes), count, draw(texts)
    seasonal = draw(st.dictionaries(st.sampled_from(["daily", "weekly_cumulative"]), st.floats(1, 100)))
    return FeatureBaseline(*numeric, bounds, known, missing, effect, draw(quantiles), seasonal_design_effects=seasonal)


baselines = st.builds(
    Baseline,
    texts,
    times,
    times,
    st.dictionaries(texts, features(), max_size=4),
    texts,
    texts,
    st.integers(0, 10**9),
    texts,
    st.dictionaries(texts, texts, max_size=2),
)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["pipeline", "from", "to", "features", "mean", "sd", "count", "bounds", "shares", "categories", "rows"]
            ),
            inner,
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


@pytest.mark.parametrize("time", [1.7e12, -1e12, float("nan"), float("inf")])
def test_a_time_of_no_year_is_refused(time: float, tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    path.write_text(json.dumps({"pipeline": "a", "from": 0, "to": time, "features": {}}))
    with pytest.raises(SpecError, match="expected from and to in Unix seconds"):
        load(path)


def test_a_file_that_is_not_there_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "b.json")


def test_a_feature_says_its_bins_as_the_exporter_does() -> None:
    assert FeatureBaseline(0, 1, 3, bounds=(0.5, 1.0)).bins == fingerprint((0.5, 1))
    assert FeatureBaseline(0, 0, 3, categories={"en": 1.0}).bins == ""


def test_a_stage_has_the_version_of_the_whole_or_its_own() -> None:
    baseline = Baseline("speech", 0, 0, {}, version="1.4.0", stage_versions={"asr": "7"})
    assert (baseline.version_of("vad"), baseline.version_of("asr")) == ("1.4.0", "7")


def test_a_file_of_an_older_version_is_read() -> None:
    old = '{"pipeline": "speech", "from": 1, "to": 2, "features": {"a": {"mean": 1, "sd": 2, "count": 3}}}'
    path = written(old)
    assert load(path) == Baseline("speech", 1, 2, {"a": FeatureBaseline(1, 2, 3)})
    path.unlink()


def test_what_is_as_usual_is_not_written() -> None:
    (line,) = [
        line for line in dump(Baseline("speech", 1, 2, {"a": FeatureBaseline(1, 2, 3)})).splitlines() if '"a"' in line
    ]
    assert json.loads("{" + line + "}") == {"a": {"mean": 1, "sd": 2, "count": 3}}


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"bounds": [1, 2], "shares": [0.5, 0.5]}, "expected 3 shares, one for each bucket, found 2"),
        ({"bounds": [1], "shares": [0.5, 0.6]}, "shares must not be negative, and add up to 1"),
        ({"bounds": [1], "shares": [1.5, -0.5]}, "shares must not be negative, and add up to 1"),
        ({"categories": {"en": 0.5}}, "shares must not be negative, and add up to 1"),
        ({"categories": {"en": 1}, "bounds": [1]}, "a feature has bounds or categories, not both"),
        ({"bounds": [2, 1]}, "bounds must rise"),
        ({"missing": 1.5}, "missing is a share from 0 to 1"),
        ({"design_effect": 0.5}, "design_effect at least 1"),
        ({"seasonal_design_effects": {"daily": 0.5}}, "design_effect at least 1"),
        ({"quantiles": {"p50": "much"}}, "expected mean, sd and count as numbers"),
        ({"quantiles": {"p50": 1e999}}, "numbers must be finite"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(entry: dict[str, object], told: str, tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    features = {"a": {"mean": 1, "sd": 2, "count": 3, **entry}}
    path.write_text(json.dumps({"pipeline": "speech", "from": 1, "to": 2, "features": features}))
    with pytest.raises(SpecError, match=told):
        load(path)


def test_shares_of_few_digits_are_read_as_whole(tmp_path: Path) -> None:
    path = tmp_path / "thirds.json"
    third, seventh = 0.333333, 0.142857
    feature = FeatureBaseline(1.0, 1.0, 21.0, bounds=(1.0, 2.0), shares=(third,) * 3)
    chosen = FeatureBaseline(0.0, 0.0, 21.0, categories=dict.fromkeys("abcdefg", seventh))
    path.write_text(dump(Baseline("shop", 0.0, 1.0, {"hear.input.level": feature, "hear.input.word": chosen})))
    read = load(path).features
    assert read["hear.input.level"].shares == pytest.approx((1 / 3,) * 3, abs=1e-15)
    assert sum(read["hear.input.word"].categories.values()) == pytest.approx(1, abs=1e-15)
