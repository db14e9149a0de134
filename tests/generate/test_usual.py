"""What `check` says of thresholds that the baseline's own values are beyond."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipemon.generate.coverage import summary
from pipemon.generate.inhibition import plan
from pipemon.spec.baseline import Baseline, FeatureBaseline, dump
from pipemon.spec.load import load

SPEC = """\
pipeline: pets
baseline: pets.baseline.json
stages: {register: {features: {input.breed: [mix, poodle], input.weight: null, input.sure: ratio}}}
failure_modes:
  one: {what: x, stage: register, MODE}
"""
BREED = FeatureBaseline(0, 0, 1000, categories={"mix": 0.6, "poodle": 0.2, "other": 0.2}, missing=0.3)
WEIGHT = FeatureBaseline(12.5, 4, 1000, bounds=(10.0, 15.0), shares=(0.3, 0.4, 0.3))
SURE = FeatureBaseline(0.9, 0.1, 1000, "ratio", bounds=(0.5, 0.9), shares=(0.1, 0.4, 0.5))


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        ("signal: {new_category: input.breed}", "new_category of input.breed is 20% in the baseline, and above 1%"),
        ("signal: {new_category: input.breed}, above: 25%", ""),
        (
            "signal: {share: input.breed=poodle}, below: 30%",
            "share of input.breed is 20% in the baseline, and below 30%",
        ),
        ("signal: {missing_ratio: input.breed}, above: 5%", "missing_ratio of input.breed is 30% in the baseline"),
        ("signal: {mean: input.weight}, above: 12", "mean of input.weight is 12.5 in the baseline, and above 12"),
        ("signal: {mean: input.sure}, below: 95%", "mean of input.sure is 90% in the baseline, and below 95%"),
        ("signal: {mean: input.weight}, changes_by: 1 sd", ""),
        ("signal: {mean: input.weight}, changes_by: 1, from: last week", ""),
        ("signals: {all: [{signal: {mean: input.weight}, above: 12}, {signal: error_ratio, above: 1%}]}", ""),
        ("signals: {any: [{signal: {mean: input.weight}, above: 12}, {signal: error_ratio, above: 1%}]}", "mean of"),
    ],
)
def test_a_threshold_that_the_baseline_is_beyond_is_told(mode: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "pets.yaml").write_text(SPEC.replace("MODE", mode))
    features = {f"register.input.{name}": each for name, each in (("breed", BREED), ("weight", WEIGHT), ("sure", SURE))}
    (tmp_path / "pets.baseline.json").write_text(dump(Baseline("pets", 0, 0, features)))
    lines = [line for line in summary(plan(load(tmp_path / "pets.yaml"))) if "all the time" in line]
    assert len(lines) == bool(told)
    assert not told or lines[0].startswith(f"  one: {told}")


@pytest.mark.parametrize(("threshold", "told"), [("40", True), ("40%", False), ("0.4", False), ("400", False)])
def test_a_threshold_of_a_ratio_that_looks_like_percents_is_told(threshold: str, told: bool, tmp_path: Path) -> None:
    spec = SPEC.replace("baseline: pets.baseline.json\n", "")
    (tmp_path / "pets.yaml").write_text(spec.replace("MODE", f"signal: {{mean: input.sure}}, below: {threshold}"))
    line = "  one: input.sure is a ratio, and 40 of it 4000%; if 40% is meant, write it so"
    assert (line in summary(plan(load(tmp_path / "pets.yaml")))) == told
