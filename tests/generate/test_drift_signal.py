"""Failure modes told by drift: their generated tests hold, each rule counts, and without a baseline they wait."""

from __future__ import annotations

import json
from itertools import accumulate
from pathlib import Path

import pytest
from rule_subsets import cases_of as of_mode
from rule_subsets import documents, failing, failing_modes, only

from pipemon.errors import SpecError
from pipemon.generate.drift.constants import ALPHA
from pipemon.generate.drift.quantiles import bridge_area
from pipemon.generate.drift.watched import references, watched
from pipemon.generate.inhibition import plan
from pipemon.generate.lint.findings import lint
from pipemon.generate.rules import rules
from pipemon.spec.distances import distance
from pipemon.spec.distribution import widths
from pipemon.spec.load import load
from pipemon.spec.signals import STATISTICS

integration = pytest.mark.integration

SPEC = Path(__file__).with_name("drifting.yaml")
SHIFTING = SPEC.with_name("shifting.yaml")
BASELINE = SPEC.with_name("drifting.baseline.json")


@integration
@pytest.mark.parametrize("spec", [SPEC, SHIFTING], ids=["from the baseline", "from the past"])
def test_each_fires_when_far_enough_and_is_quiet_otherwise(spec: Path, tmp_path: Path) -> None:
    assert failing_modes(rules(plan(load(spec)).spec), tmp_path) == {}


@integration
def test_of_few_values_and_where_one_category_is_nearly_all_there_are_tests_which_hold(tmp_path: Path) -> None:
    document = json.loads(BASELINE.read_text())
    sixth = 1 / 6
    document["features"]["taste.input.heat"] |= {"count": 30, "shares": [0, *[sixth] * 6, 0], "design_effect": 1}
    document["features"]["taste.input.dish"] = {"count": 20000, "categories": {"soup": 0.9975, "salad": 0.0025}}
    (tmp_path / BASELINE.name).write_text(json.dumps(document))
    head = SPEC.read_text().partition("failure_modes:")[0]
    modes = (f"  {name}: {{what: x, stage: taste, signal: {{drift: input.{name}}}}}\n" for name in ("dish", "heat"))
    (tmp_path / SPEC.name).write_text(f"{head}failure_modes:\n{''.join(modes)}")
    assert failing_modes(rules(plan(load(tmp_path / SPEC.name)).spec), tmp_path) == {}


def test_no_rule_test_of_a_shift_takes_more_values_from_a_bin_than_it_has(tmp_path: Path) -> None:
    document = json.loads(BASELINE.read_text())
    # A flag's values can lie farther apart, and hardly closer together.
    flag = {"mean": 0.9875, "sd": 0.111, "count": 6000, "bounds": [0, 1], "shares": [0.0125, 0.9875, 0]}
    document["features"] = {"taste.input.heat": flag}
    (tmp_path / BASELINE.name).write_text(json.dumps(document))
    head = SPEC.read_text().partition("failure_modes:")[0]
    modes = "  apart: {what: x, stage: taste, signal: {shift: spread of input.heat}}\n"
    (tmp_path / SPEC.name).write_text(f"{head}failure_modes:\n{modes}")
    _, files = documents(rules(plan(load(tmp_path / SPEC.name)).spec))
    tests = [test for file in of_mode(files, "apart") for test in file["tests"]]
    assert [test["name"] for test in tests if "+-" in json.dumps(test.get("input_series"))] == []
    assert any(test["name"].endswith("fires once a shift upwards adds up") for test in tests)


@integration
def test_another_threshold_and_forgotten_bins_are_found(tmp_path: Path) -> None:
    made = rules(plan(load(SPEC)).spec)
    document, files = documents(made)
    own = only(made, document, {"hotter-than-usual"})
    file = next(each for each in of_mode(files, "hotter-than-usual") if "alert_rule_test" in each["tests"][0])
    text = json.dumps(own)
    for right, wrong, case in (
        ("> 0.1", "> 0.09", "is quiet just before the threshold"),
        ("> 0.1", "> 0.11", "fires just beyond the threshold"),
        ("unless", "or", "is quiet on other bins than the baseline has"),
    ):
        assert right in text
        tests = {**file, "tests": [test for test in file["tests"] if test["name"].endswith(case)]}
        assert tests["tests"]
        assert failing(tmp_path, json.loads(text.replace(right, wrong)), tests), f"{wrong!r} is not noticed"


@integration
def test_windows_of_less_than_six_hours_share_what_these_may_take_for_drift(tmp_path: Path) -> None:
    spec = tmp_path / SPEC.name
    (tmp_path / BASELINE.name).write_text(BASELINE.read_text())
    sooner = "\n    stage: taste\n    signal: {drift: wasserstein of output.stars}\n    window: 15m\n"
    spec.write_text(f"{SPEC.read_text()}  stars-soon:\n    what: Stars are soon given otherwise{sooner}")
    loaded = plan(load(spec)).spec
    stars = tuple(each for each in watched(loaded) if each[2] == "stars")
    (long,), (short,) = references(loaded, stars, 6 * 3600.0), references(loaded, stars, 900.0)
    assert (long.alpha, short.alpha) == pytest.approx((ALPHA / 3, ALPHA / 3 / 24))
    document, files = documents(made := rules(loaded))
    every = [rule for group in document["groups"] for rule in group["rules"]]
    below = list(accumulate(long.shares[:-1]))
    for each, suffix, window in ((long, "", "6h"), (short, "15m", "15m")):
        name = f"pipemon:baseline:quantile{suffix}"
        which = {"feature": "stars", "of": "bridge_area"}
        (limit,) = (rule for rule in every if rule.get("record") == name and which.items() <= rule["labels"].items())
        number = float(limit["expr"].removeprefix("vector(").removesuffix(")"))
        assert number == pytest.approx(bridge_area(each.alpha, below, widths(each.baseline)))
        (critical,) = (r for r in every if r.get("record", "").endswith(f"wasserstein_critical:increase{window}"))
        assert f"{name}{{" in critical["expr"]
    own = only(made, document, {"stars-soon"})
    assert [said for tests in of_mode(files, "stars-soon") if (said := failing(tmp_path, own, tests))] == []


@pytest.mark.parametrize(
    ("of_heat", "why"),
    [
        (None, "no baseline"),
        ({"mean": 61.0, "sd": 8.0, "count": 20000}, "with the shares of its bins"),
        ({}, "which the baseline does not have"),
    ],
)
def test_without_a_distribution_to_compare_with_it_waits(tmp_path: Path, of_heat: dict[str, float], why: str) -> None:
    spec = tmp_path / SPEC.name
    spec.write_text(SPEC.read_text())
    if of_heat is not None:
        document = json.loads(BASELINE.read_text())
        document["features"].pop("taste.input.heat")
        document["features"] |= {"taste.input.heat": of_heat} if of_heat else {}
        (tmp_path / BASELINE.name).write_text(json.dumps(document))
    waiting = {mode.name: mode.waiting for mode in load(spec).failure_modes if not mode.conditions}
    assert waiting["hotter-than-usual"].startswith("not yet measurable: waits for a baseline of heat, ")
    assert of_heat is None or why in waiting["hotter-than-usual"]


@pytest.mark.parametrize("statistic", STATISTICS)
def test_each_statistic_has_a_usual_threshold(tmp_path: Path, statistic: str) -> None:
    spec = tmp_path / SPEC.name
    spec.write_text(SPEC.read_text().replace("{drift: input.heat}", f"{{drift: {statistic} of input.heat}}"))
    (tmp_path / BASELINE.name).write_text(BASELINE.read_text())
    (condition,) = next(mode for mode in load(spec).failure_modes if mode.name == "hotter-than-usual").conditions
    assert condition.threshold is not None
    assert condition.threshold.high == STATISTICS[statistic]  # type: ignore[index]
    assert condition.argument == statistic


def test_linters_find_nothing() -> None:
    assert [str(found) for spec in (SPEC, SHIFTING) for found in lint([plan(load(spec))])] == []


def test_what_only_a_later_feature_has_is_recorded_before_it_is_read(tmp_path: Path) -> None:
    document = json.loads(BASELINE.read_text())
    # Nothing is rare of the first feature, and something is of the next.
    document["features"]["taste.input.heat"] |= {"bounds": [52.0, 61.0, 70.0], "shares": [0.2, 0.3, 0.3, 0.2]}
    (tmp_path / BASELINE.name).write_text(json.dumps(document))
    (tmp_path / SPEC.name).write_text(SPEC.read_text().replace("    window: 1d\n", ""))
    assert [str(found) for found in lint([plan(load(tmp_path / SPEC.name))])] == []


def test_it_is_gradual_where_nobody_says_so() -> None:
    mode = load(SPEC).failure_modes[0]
    assert (mode.pace, mode.window, mode.for_, mode.kind) == ("gradual", 6 * 3600.0, 1800.0, "drift")


def beside_drift(tmp_path: Path, mode: str, **files: str) -> list[str]:
    spec = tmp_path / "kitchen.yaml"
    head = SPEC.read_text().partition("failure_modes:")[0]
    spec.write_text(f"{head}failure_modes:\n  odd: {{what: x, stage: taste, {mode}}}\n")
    if files:
        (tmp_path / BASELINE.name).write_text(files["baseline"])
    try:
        return [mode.waiting for mode in load(spec).failure_modes]
    except SpecError as error:
        return [each.message for each in error.problems]


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("signal: {drift: input.dish}, against: last hour", "add `pace: sudden`"),
        ("signal: {drift: input.dish}, against: last weak", "did you mean 'last week'?"),
        ("signal: {drift: input.dish}, against: yesterday, window: 30m", "give it an hour or more"),
        ("signal: {drift: wasserstein of output.stars}, pace: sudden", "standard deviations of a baseline"),
        ("signal: {drift: input.heat}, pace: sudden", "not yet measurable: nobody knows the bins of heat"),
        ("signal: {mean: input.heat}, below: 3, against: last week", "only drift takes it"),
        ("signal: {drift: input.dish}, against: last week, hold: 2h", "only what is compared with the last hour"),
        ("signal: {drift: input.dish}, pace: sudden, above: auto", "no threshold of sudden drift, since"),
    ],
)
def test_what_can_not_be_compared_so_is_refused(tmp_path: Path, mode: str, said: str) -> None:
    assert [said in each for each in beside_drift(tmp_path, mode)] == [True]


def test_wasserstein_takes_values_in_more_than_one_bin(tmp_path: Path) -> None:
    document = json.loads(BASELINE.read_text())
    document["features"]["taste.input.heat"]["shares"] = [0, 0, 0, 1, 0, 0, 0, 0]
    said = beside_drift(tmp_path, "signal: {drift: wasserstein of input.heat}", baseline=json.dumps(document))
    assert ["in one bin of the baseline" in each for each in said] == [True]


@pytest.mark.parametrize("statistic", ["psi", "hellinger", "ks", "wasserstein"])
@pytest.mark.parametrize("bins", [100, 128])
def test_bins_that_are_all_rare_are_refused_where_nothing_could_ever_be_told(
    tmp_path: Path, statistic: str, bins: int
) -> None:
    document = json.loads(BASELINE.read_text())
    even = {"bounds": [float(bound) for bound in range(bins - 1)], "shares": [1 / bins] * bins}
    document["features"]["taste.input.heat"] |= even
    said = beside_drift(tmp_path, f"signal: {{drift: {statistic} of input.heat}}", baseline=json.dumps(document))
    told = (
        f"each of the 128 bins of input.heat has under 1% of the baseline's values, which {statistic} counts together"
    )
    assert [told in each for each in said] == [bins == 128 and statistic in ("psi", "hellinger")]


def test_what_is_all_but_the_same_is_not_apart_whatever_rounding_makes_of_it() -> None:
    almost = (0.5000000037252903, 0.4999999962747097)
    for statistic in ("psi", "js", "hellinger", "chi2", "ks"):
        assert distance(statistic, almost, (0.5, 0.5), (0.5, 0.5), (), 11240.0) < 1e-7
