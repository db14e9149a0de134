"""Calibration error and estimated accuracy, told by outputs one by one and computed from them by numpy."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml
from real_servers import tool

from pipemon.generate.inhibition import plan
from pipemon.generate.rules import rule_file, rules
from pipemon.spec.load import load
from pipemon.spec.model import Threshold
from pipemon.spec.thresholds import calibration_count

SPEC = """
pipeline: shop
stages: {classify: {features: {output.confidence: ratio}}}
failure_modes:
  overconfident: {what: a, stage: classify, signal: calibration, window: 30m}
  worse: {what: b, stage: classify, signal: {estimated_accuracy: output.confidence}, below: 90%, window: 30m}
"""
PLACE = 'pipeline="shop",stage="classify"'
FEATURE = f'{PLACE},direction="output",feature="confidence"'
EDGES = np.round(np.arange(1, 11) / 10, 1)
PER_MINUTE = 400


def outputs(random: np.random.Generator, sharpness: float, offset: float) -> tuple[np.ndarray, np.ndarray]:
    """Confidences, and whether each was right: `offset` less often than it says."""
    confidence = random.beta(sharpness, 2, PER_MINUTE)
    return confidence, random.random(PER_MINUTE) < confidence - offset


def bin_of(confidence: np.ndarray) -> np.ndarray:
    return np.searchsorted(EDGES, confidence)


class Pages:
    """Counters that rise by the same each minute."""

    def __init__(self) -> None:
        self.rises: Counter[str] = Counter()

    def label(self, confidence: np.ndarray, right: np.ndarray, where: str) -> None:
        for bin, edge in enumerate(EDGES):
            inside = bin_of(confidence) == bin
            for correct, count in (("yes", (inside & right).sum()), ("no", (inside & ~right).sum())):
                self.rises[f'pipemon_calibration_total{{{where},confidence_bin="{edge}",correct="{correct}"}}'] += count
            stated = confidence[inside].sum()
            self.rises[f'pipemon_calibration_confidence_total{{{where},confidence_bin="{edge}"}}'] += stated

    def state(self, confidence: np.ndarray, where: str) -> None:
        for edge in (*EDGES, np.inf):
            le = "+Inf" if edge == np.inf else edge
            self.rises[f'pipemon_feature_value_bucket{{{where},le="{le}"}}'] += (confidence <= edge).sum()

    def judge(self, folder: Path, expected: dict[str, float | None]) -> None:
        """Let promtool evaluate the rules of SPEC: each recorded name must have its value, to ten digits."""
        (folder / "shop.yaml").write_text(SPEC)
        (folder / "rules.yml").write_text(rule_file(rules(plan(load(folder / "shop.yaml")).spec)))
        checks = [
            {
                "expr": f"round({name}, 1e-10)",
                "eval_time": "50m",
                "exp_samples": []
                if value is None
                else [{"labels": "{" + labels + "}", "value": round(float(value), 10)}],
            }
            for (name, labels), value in zip(map(self._of, expected), expected.values(), strict=True)
        ]
        series = [{"series": name, "values": f"0+{float(rise)!r}x60"} for name, rise in self.rises.items()]
        test = {"interval": "1m", "input_series": series, "promql_expr_test": checks}
        (folder / "tests.yml").write_text(yaml.safe_dump({"rule_files": ["rules.yml"], "tests": [test]}))
        command = ["promtool", "test", "rules", "tests.yml"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    @staticmethod
    def _of(name: str) -> tuple[str, str]:
        return name, FEATURE if "feature" in name else PLACE


ERROR = "pipeline_stage:pipemon_calibration_error:ratio_increase30m"
ACCURACY = "pipeline_stage_direction_feature:pipemon_feature_value_accuracy:estimate_increase30m"
V1, V2, CANDIDATE = (
    f'version="{version}",track="{track}"' for version, track in (("1", "stable"), ("2", "canary"), ("3", "shadow"))
)


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Guo et al. 2017, equation 3."""
    found = 0.0
    for bin in range(len(EDGES)):
        inside = bin_of(confidence) == bin
        if inside.any():
            found += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    return found


def expected_accuracy(stated: np.ndarray, confidence: np.ndarray, right: np.ndarray) -> float:
    """The mean, over what is stated, of how often its bin was right."""
    return float(np.mean([right[bin_of(confidence) == bin].mean() for bin in bin_of(stated)]))


@pytest.mark.integration
def test_both_are_what_they_are_of_outputs_one_by_one(tmp_path: Path) -> None:
    random, pages = np.random.default_rng(7), Pages()
    told, stated = {}, {}
    for version, sharpness, offset in ((V1, 5, 0.1), (V2, 2, 0.3), (CANDIDATE, 1, 0.6)):
        told[version] = outputs(random, sharpness, offset)
        # Less sure than what was labelled.
        unsure = 1.01 - told[version][0]
        stated[version] = random.choice(told[version][0], PER_MINUTE // 2, p=unsure / unsure.sum())
        pages.label(*told[version], f"{PLACE},{version}")
        pages.state(stated[version], f"{FEATURE},{version}")
    confidence, right = (np.concatenate([told[each][part] for each in (V1, V2)]) for part in (0, 1))
    mean = np.mean([expected_accuracy(stated[each], *told[each]) for each in (V1, V2)])
    pages.judge(tmp_path, {ERROR: calibration_error(confidence, right), ACCURACY: float(mean)})


@pytest.mark.integration
def test_confidences_that_no_label_tells_of_say_nothing(tmp_path: Path) -> None:
    random, pages = np.random.default_rng(8), Pages()
    confidence, right = outputs(random, 5, 0.1)
    sure = confidence > 0.7
    pages.label(confidence[sure], right[sure], f"{PLACE},{V1}")
    pages.state(random.uniform(0.75, 1.0, 900), f"{FEATURE},{V1}")
    pages.state(random.uniform(0.0, 0.7, 100), f"{FEATURE},{V1}")
    pages.judge(tmp_path, {ACCURACY: None})


@pytest.mark.integration
def test_a_new_version_says_nothing_by_the_labels_of_another(tmp_path: Path) -> None:
    random, pages = np.random.default_rng(9), Pages()
    pages.label(*outputs(random, 5, 0.1), f"{PLACE},{V1}")
    pages.state(random.uniform(0.5, 1.0, 500), f"{FEATURE},{V2}")
    pages.judge(tmp_path, {ACCURACY: None})


@pytest.mark.integration
def test_what_a_bin_is_worth_is_that_of_full_hours_and_of_a_new_version_that_of_its_last_hour(tmp_path: Path) -> None:
    """A version that fell from 90% to 50% after two of 3.5 hours, one that began 2 minutes before the third."""
    name = "pipeline_stage_version_confidence_bin:pipemon_calibration_right:ratio_increase7d"
    rises = {
        ("1", "yes"): "0+90x120 10850+50x90",
        ("1", "no"): "0+10x120 1250+50x90",
        ("2", "yes"): "_x178 0+3x40",
        ("2", "no"): "_x178 0+1x40",
        ("3", "yes"): "_x208 0+3x10",
        ("3", "no"): "_x208 0+1x10",
    }
    series = [
        {
            "series": f'pipemon_calibration_total{{{PLACE},version="{version}",track="stable",'
            f'confidence_bin="1.0",correct="{correct}"}}',
            "values": values,
        }
        for (version, correct), values in rises.items()
    ]
    expected = {"1": (90 + 90 + 50) / 300, "2": 0.75}
    samples = [
        {"labels": f'{{{PLACE},version="{version}",confidence_bin="1.0"}}', "value": round(value, 6)}
        for version, value in expected.items()
    ]
    check = {"expr": f"round({name}, 1e-6)", "eval_time": "3h30m", "exp_samples": samples}
    (tmp_path / "shop.yaml").write_text(SPEC)
    (tmp_path / "rules.yml").write_text(rule_file(rules(plan(load(tmp_path / "shop.yaml")).spec)))
    test = {"interval": "1m", "input_series": series, "promql_expr_test": [check]}
    (tmp_path / "tests.yml").write_text(yaml.safe_dump({"rule_files": ["rules.yml"], "tests": [test]}))
    tool("promtool", "test", "rules", "tests.yml", cwd=tmp_path)


@pytest.mark.parametrize("threshold", [0.05, 0.1])
def test_so_few_calibrated_models_pass_the_threshold_by_chance(threshold: float) -> None:
    random, count = np.random.default_rng(10), calibration_count(Threshold(None, threshold, ""))
    confidence = random.uniform(0.0, 1.0, (1000, count))
    right = random.random(confidence.shape) < confidence
    # All models at once, each with bins of its own.
    bins = bin_of(confidence) + len(EDGES) * np.arange(1000)[:, None]
    gaps = np.bincount(bins.ravel(), (confidence - right).ravel(), 1000 * len(EDGES)).reshape(1000, -1)
    errors = np.abs(gaps).sum(axis=1) / count
    assert errors[0] == pytest.approx(calibration_error(confidence[0], right[0]))
    assert np.mean(errors > threshold) <= 0.01
