"""Conditions of one distribution in one failure mode: its rule tests have one layout that serves them all.

Each pair stands with `any` and with `all`. promtool runs the tests that are generated of them: that the alert fires on
either or on both, is quiet just before, on too few calls and in other places, and resolves.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from real_servers import tool

from pipemon.generate.inhibition import plan
from pipemon.generate.output import write
from pipemon.generate.rules import rules
from pipemon.generate.ruletests.by_mode import mode_tests
from pipemon.spec.load import load
from pipemon.spec.model import Spec

HEAD = """\
pipeline: shop
slices: {age: [young, old]}
stages:
  pay:
    budget: 300ms
    features: {input.amount: seconds, output.sure: ratio, output.currency: [eur, usd, gbp]}
    scores: {wer: ratio}
failure_modes:
"""
P50, P99 = "quantile: p50 of input.amount", "quantile: p99 of input.amount"
EUR, USD = "share: output.currency=eur", "share: output.currency=usd"
PAIRS = {
    "two-quantiles": (f"{P50}, above: 2", f"{P99}, above: 8"),
    "the-lower-quantile-has-the-higher-threshold": (f"{P50}, above: 8", f"{P99}, above: 2"),
    "a-quantile-low-and-another-high": (f"{P50}, below: 2", f"{P99}, above: 8"),
    "one-quantile-with-two-thresholds": (f"{P50}, above: 2", f"{P50}, outside: [1, 5]"),
    "a-quantile-and-the-mean": (f"{P50}, outside: [1, 5]", "mean: input.amount, above: 3"),
    "a-quantile-and-what-is-missing": (f"{P99}, above: 8", "missing_ratio: input.amount"),
    "two-categories": (f"{EUR}, above: 20%", f"{USD}, below: 50%"),
    "two-categories-that-are-nearly-all": (f"{EUR}, above: 60%", f"{USD}, above: 35%"),
    "a-category-and-new-ones": (f"{EUR}, above: 60%", "new_category: output.currency"),
    "calibration-and-what-is-wrong": ("signal: calibration", "signal: wrong_ratio, above: 8%"),
    "an-estimate-and-calibration": ("estimated_accuracy: output.sure, below: 85%", "signal: calibration"),
    "an-estimate-and-what-is-wrong": ("estimated_accuracy: output.sure, below: 85%", "signal: wrong_ratio, above: 8%"),
    "a-score-and-that-of-a-slice": ("quality: wer, above: 25%", "quality: wer, slice: age=young, above: 1.3x all"),
    "a-latency-and-the-budget": ("latency: p50, above: 200ms", "latency: p99, above: budget"),
    "the-median-above-what-few-may-be": ("latency: p50, above: 2s", "latency: p99, above: budget"),
}
EITHER_SIDE = {
    "a-mean-too-low-or-too-high": ("mean: input.amount, below: 1", "mean: input.amount, above: 5"),
    "nulls-too-few-or-too-many": ("signal: null_ratio, below: 1%", "signal: null_ratio, above: 30%"),
}
"""What can't hold at once, so that any is enough."""
THREE = {
    "three-quantiles": (f"{P50}, above: 2", "quantile: p90 of input.amount, above: 4", f"{P99}, above: 8"),
    "three-categories": (f"{EUR}, above: 40%", f"{USD}, above: 20%", "share: output.currency=gbp, below: 30%"),
}


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Spec:
    path = tmp_path_factory.mktemp("shop") / "shop.yaml"
    written = [(name, combine, pair) for name, pair in (PAIRS | THREE).items() for combine in ("any", "all")]
    written += [(name, "any", pair) for name, pair in EITHER_SIDE.items()]
    modes = [
        f"  {name}-{combine}: {{what: a, stage: pay, signals: {{{combine}: [{{{'}, {'.join(of)}}}]}}}}\n"
        for name, combine, of in written
    ]
    path.write_text(HEAD + "".join(modes))
    return plan(load(path)).spec


@pytest.mark.integration
def test_the_rule_tests_of_conditions_of_one_distribution_pass(spec: Spec, tmp_path: Path) -> None:
    texts = {name: text for _, files in mode_tests(rules(spec)) for name, text in files.items()}
    write(tmp_path, texts)
    tool("promtool", "test", "rules", *(name for name in texts if name.endswith(".tests.yml")), cwd=tmp_path)


def test_each_condition_is_seen_to_decide_where_it_can(spec: Spec) -> None:
    found: dict[str, list[str]] = {mode.name: [] for mode in spec.measurable}
    for mode, files in mode_tests(rules(spec)):
        if mode in found:
            found[mode] += re.findall(rf"  - name: '?{mode}: (.+?)'?\n", "".join(files.values()))
    for mode in (each.name for each in spec.measurable):
        assert len(found[mode]) == len(set(found[mode])), f"{mode}: each case has its own name"
        assert any(name.startswith("fires just beyond") for name in found[mode]), mode
        assert any(name.startswith("is quiet just before") for name in found[mode]), mode

    def alone(mode: str) -> list[str]:
        return [name.partition(" on ")[2] for name in found[mode] if name.endswith(" alone")]

    assert alone("two-quantiles-any") == [
        "quantile p50 above 2 seconds alone",
        "quantile p99 above 8 seconds alone",
    ]
    # Where the median is above 8, the 99th percentile is above 2.
    assert alone("the-lower-quantile-has-the-higher-threshold-any") == ["quantile p99 above 2 seconds alone"]
