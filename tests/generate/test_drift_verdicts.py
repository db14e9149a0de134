"""When the generated rules say drift, say none, and say nothing: on hand-made histograms, by promtool."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drifting import SPEC, WINDOW, Scrapes, Test, baseline, equal, of_categories, promtool, reference
from scipy import stats

from benchmarks.drift import emulation
from pipemon.generate.drift import constants
from pipemon.generate.drift.constants import Reference
from pipemon.generate.drift.distribution import distribution
from pipemon.generate.drift.quantiles import bridge_area, chi_squared, kolmogorov, normal
from pipemon.generate.drift.statistics import Drift, drift
from pipemon.generate.promql import text
from pipemon.generate.rules import rules as generated
from pipemon.spec.baseline import Baseline, dump
from pipemon.spec.load import load
from pipemon.spec.signals import STATISTICS, Statistic

integration = pytest.mark.integration

BOUNDS = (-3.0, -1.0, -0.3, 0.3, 1.0, 3.0)
EVEN = (2, 300, 300, 300, 300, 300, 2)
"""A baseline's bins: two tails, and five in between."""


NEVER = of_categories({"cat": 600, "dog": 400})


def verdicts(
    folder: Path,
    references: tuple[Reference, ...],
    scrapes: Scrapes,
    expected: dict[str, float],
    statistic: Statistic = "psi",
) -> Drift:
    """Check what is significant, by feature, and that nothing is known of others."""
    live = distribution(SPEC, WINDOW, references)
    made = drift(live, references, statistic)
    assert promtool(folder, [made.significant], scrapes, [equal(made.significant, expected)]) == ""
    return made


@integration
def test_the_verdict_is_that_of_the_emulation_that_the_benchmarks_run(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    references, scrapes, rows = [], Scrapes(), {}
    for index in range(30):
        counts = random.multinomial(5000, np.array(EVEN) / sum(EVEN))
        base = baseline(BOUNDS, counts, design_effect=1 + index % 3, of_sums=1 + index % 5 / 2)
        each = reference(f"f{index}", base)
        share = random.dirichlet(200 * np.array(base.shares) + 0.01)
        rows[each.feature] = (each, random.multinomial(1500, share).astype(float)[None, :])
        references.append(each)
        scrapes.histogram(each.feature, BOUNDS, rows[each.feature][1][0])
    live = distribution(SPEC, WINDOW, tuple(references))
    made = {name: drift(live, tuple(references), name) for name in STATISTICS}
    tests = []
    for name, rules in made.items():
        of = {feature: float(emulation.evidence(*row, name)[0]) for feature, row in rows.items()}
        assert any(each > 1 for each in of.values())
        assert any(each < 1 for each in of.values())
        tests.append(equal(rules.evidence, of))
    assert promtool(tmp_path, [each.evidence for each in made.values()], scrapes, tests) == ""


@integration
def test_a_class_that_training_never_saw_counts_fully(tmp_path: Path) -> None:
    known, unknown = reference("known", of_categories({"cat": 600, "dog": 400, "other": 0})), reference("odd", NEVER)
    scrapes = Scrapes()
    scrapes.categories("known", {"cat": 300, "dog": 200, "other": 500})
    scrapes.categories("odd", {"cat": 300, "dog": 200, "fish": 500})
    live = distribution(SPEC, WINDOW, (known, unknown))
    made = drift(live, (known, unknown), "psi")
    least: Test = {
        "expr": f"count by (feature) ({made.significant.name} >= 3.4)",
        "eval_time": "10m",
        "exp_samples": [{"labels": '{feature="known"}', "value": 1}, {"labels": '{feature="odd"}', "value": 1}],
    }
    assert promtool(tmp_path, [made.significant], scrapes, [least]) == ""


@integration
def test_versions_that_match_their_own_baselines_have_no_drift(tmp_path: Path) -> None:
    # A tenth of the traffic is the new version's, whose values are others.
    old, new = (0, 500, 300, 100, 60, 40, 0), (0, 40, 60, 100, 300, 500, 0)
    scrapes = Scrapes()
    scrapes.histogram("level", BOUNDS, 9 * np.array(old), version="1")
    scrapes.histogram("level", BOUNDS, new, version="2")
    references = (reference("level", baseline(BOUNDS, old), "1"), reference("level", baseline(BOUNDS, new), "2"))
    live = distribution(SPEC, WINDOW, references)
    made = drift(live, references, "psi")
    both: Test = {
        "expr": f"count by (version) ({made.value.name} < 0.005)",
        "eval_time": "10m",
        "exp_samples": [{"labels": f'{{version="{v}"}}', "value": 1} for v in ("1", "2")],
    }
    assert promtool(tmp_path, [made.value], scrapes, [both]) == ""


@integration
def test_nothing_is_said_of_other_bins_of_too_few_values_and_of_other_versions(tmp_path: Path) -> None:
    far = (0, 0, 0, 0, 0, 1000, 0)
    names = ("told", "few", "clustered", "other_bins", "mixed_bins", "other_version", "gone", "same")
    scrapes = Scrapes()
    for name in names:
        counts = {"few": np.array(far) * 0.049, "clustered": np.array(far) * 0.199, "same": np.array(EVEN)}
        scrapes.histogram(name, BOUNDS, counts.get(name, np.array(far)), "2" if name == "other_version" else "1")
    scrapes.histogram("mixed_bins", (0.0, 1.0), (10, 10, 10), instance="b")
    references = tuple(
        reference(
            name,
            baseline(
                tuple(2 * bound for bound in BOUNDS) if name == "other_bins" else BOUNDS,
                EVEN,
                design_effect=4.0 if name == "clustered" else 1.0,
            ),
        )
        for name in names
    )
    gone = next(series for series in scrapes.series if "pipemon_feature_info" in series and '"gone"' in series)
    scrapes.series[gone] = "1x3 stale"
    psi = {"told": float(emulation.values_of(references[0], np.array([far], float), "psi")[0]), "same": 0.0}
    verdicts(tmp_path, references, scrapes, psi)


@integration
def test_a_category_may_be_watched_beside_a_number(tmp_path: Path) -> None:
    scrapes = Scrapes()
    scrapes.histogram("level", BOUNDS, (0, 0, 0, 0, 0, 1000, 0))
    scrapes.categories("pet", {"cat": 600, "dog": 400})
    level, pet = reference("level", baseline(BOUNDS, EVEN)), reference("pet", NEVER)
    made = [drift(distribution(SPEC, WINDOW, (each,)), (each,), "psi").significant for each in (level, pet)]
    seen: Test = {
        "expr": f"count by (feature) ({made[0].name} > 1 or {made[1].name} == 0)",
        "eval_time": "10m",
        "exp_samples": [{"labels": f'{{feature="{name}"}}', "value": 1} for name in ("level", "pet")],
    }
    assert promtool(tmp_path, made, scrapes, [seen]) == ""


@integration
def test_a_baseline_of_no_version_is_for_all_that_have_none(tmp_path: Path) -> None:
    far = (0, 0, 0, 0, 0, 1000, 0)
    scrapes = Scrapes()
    for version, counts in (("1", EVEN), ("2", far), ("3", far)):
        scrapes.histogram("level", BOUNDS, counts, version)
    references = (
        reference("level", baseline(BOUNDS, far), "3"),
        Reference("hear", "input", "level", baseline(BOUNDS, EVEN), others=("3",)),
    )
    made = drift(distribution(SPEC, WINDOW, references), references, "psi")
    told: Test = {
        "expr": f"count by (version, baseline) ({made.significant.name} > 1)",
        "eval_time": "10m",
        "exp_samples": [{"labels": '{version="2", baseline="any"}', "value": 1}],
    }
    known: Test = {
        "expr": f"count({made.significant.name})",
        "eval_time": "10m",
        "exp_samples": [{"labels": "{}", "value": 3}],
    }
    assert promtool(tmp_path, [made.significant], scrapes, [told, known]) == ""


def test_what_is_rare_is_guarded_apart() -> None:
    assert reference("f", baseline(BOUNDS, EVEN)).parts == ("low", *["core"] * 5, "high")
    gap = baseline((0.0, 1.0, 2.0, 3.0), (1, 500, 0, 500, 0))
    assert reference("f", gap).parts == ("low", "core", "rare", "core", "high")
    constant = baseline((0.0, 1.0), (0, 1000, 0))
    assert reference("f", constant).guards == ("low", "high")
    assert reference("f", NEVER).guards == ("core", "rare")


@pytest.mark.parametrize("alpha", [0.05, 0.01, 0.001, 1e-5])
def test_quantiles_are_those_of_scipy(alpha: float) -> None:
    assert normal(alpha) == pytest.approx(stats.norm.isf(alpha), rel=1e-9)
    for degrees in (1, 2, 3, 9, 10, 40):
        assert chi_squared(alpha, degrees) == pytest.approx(stats.chi2.isf(alpha, degrees), rel=1e-9)
    assert kolmogorov(alpha) == pytest.approx(stats.kstwobign.isf(alpha), rel=2e-3)
    assert kolmogorov(alpha) >= stats.kstwobign.isf(alpha) - 1e-9


def test_the_area_under_a_bridge_is_that_of_simulated_ones() -> None:
    random = np.random.default_rng(1)
    steps = random.normal(size=(60_000, 10)) / np.sqrt(10)
    at = np.arange(1, 10) / 10
    walk = np.cumsum(steps, axis=1)
    areas = np.abs(walk[:, :-1] - at * walk[:, -1:]).mean(1) * 0.9
    for alpha in (0.01, 0.01 / 24):  # of six hours, and of 15 minutes of them
        assert bridge_area(alpha, at.tolist(), [0.1] * 9) == pytest.approx(np.quantile(areas, 1 - alpha), rel=0.04)


@pytest.mark.parametrize("alpha", [0.01, 0.01 / 72])
def test_the_area_over_one_bound_is_the_size_of_a_normal_variable(alpha: float) -> None:
    yes, width = 0.02, 7.0
    expected = width * np.sqrt(yes * (1 - yes)) * stats.norm.isf(alpha / 2)
    assert bridge_area(alpha, [0.0, 1 - yes, 1.0], [1.0, width, 1.0]) == pytest.approx(expected)


def test_within_one_bin_nothing_is_left_to_chance_which_has_no_quantile_and_no_ranks_then() -> None:
    within = replace(reference("f", baseline((0.0, 1.0), (0, 1000, 0), sd=0.1)), ranks=(1, 2))
    assert {dict(each.static).get("of") for each in constants.whole(SPEC, within)} == {None, "kolmogorov"}


def test_the_core_has_most_of_the_false_alarms_that_are_allowed() -> None:
    for base in (baseline(BOUNDS, EVEN), baseline((0.0, 1.0), (0, 1000, 0)), NEVER, baseline((0.0,), (500, 500))):
        each = reference("f", base)
        assert sum(each.allowed(part) for part in each.guards) == pytest.approx(each.alpha)
    assert reference("f", baseline(BOUNDS, EVEN)).allowed("core") == pytest.approx(0.008)


def test_the_features_of_a_stage_share_its_false_alarms_and_so_do_the_windows_of_six_hours(tmp_path: Path) -> None:
    names = ("heat", "salt", "fat", "acid")
    document = Baseline("soup", 0.0, 1.0, {f"taste.input.{name}": baseline(BOUNDS, EVEN) for name in names})
    (tmp_path / "soup.baseline.json").write_text(dump(document))
    paces = ("gradual", "gradual", "gradual", "sudden")
    (tmp_path / "soup.yaml").write_text(
        "pipeline: soup\nbaseline: soup.baseline.json\nstages:\n  taste:\n    features: "
        f"{{{', '.join(f'input.{name}: points' for name in names)}}}\nfailure_modes:\n"
        + "".join(
            f"  {name}: {{what: x, stage: taste, signal: {{drift: input.{name}}}, pace: {pace}}}\n"
            for name, pace in zip(names, paces, strict=True)
        )
    )
    made = generated(load(tmp_path / "soup.yaml")).recordings
    quantiles = {
        dict(each.static)["feature"]: float(text(each.expr).removeprefix("vector(").removesuffix(")"))
        for each in made
        if ("of", "chi_squared") in each.static
    }
    shared = stats.chi2.isf(0.8 * 0.01 / 4, 4)
    assert quantiles == {name: pytest.approx(shared, rel=1e-6) for name in names[:3]}
    (evidence,) = (each for each in made if each.name.endswith("_evidence:increase5m_recent"))
    for share in (0.8, 0.2):
        assert f"{stats.norm.isf(share * 0.01 / 4 / 72):.6f}"[:7] in text(evidence.expr)


@pytest.mark.parametrize("shift", [-0.5, -0.1, 0.1, 0.5])
def test_wasserstein_of_bins_is_close_to_that_of_values_and_alike_in_both_directions(shift: float) -> None:
    random = np.random.default_rng(4)
    values = random.normal(size=50_000)
    each = Reference("hear", "input", "level", emulation.learned(values, 10))
    live = values + shift
    found = emulation.values_of(each, emulation.counts(live[None, :], np.array(each.baseline.bounds)), "wasserstein")
    assert float(found[0]) == pytest.approx(stats.wasserstein_distance(values, live), rel=0.15)
    few = emulation.counts(random.normal(0.1 * np.sign(shift), 1, (300, 1000)), np.array(each.baseline.bounds))
    assert (emulation.evidence(each, few, "wasserstein") > 1).mean() > 0.5


@pytest.mark.parametrize("bins", [5, 10, 20])
def test_chance_is_taken_for_drift_as_rarely_as_is_allowed(bins: int) -> None:
    """A small sample of the benchmark's table; there are the statistics and sizes."""
    random = np.random.default_rng(bins)
    hits = []
    for _ in range(150):
        base = emulation.learned(random.normal(size=2000), bins)
        each = Reference("hear", "input", "level", base)
        true = np.diff(stats.norm.cdf([-np.inf, *base.bounds, np.inf]))
        live = random.multinomial(1000, true, size=40).astype(float)
        hits.append(float((emulation.evidence(each, live, "psi") > 1).mean()))
    assert 0.001 < np.mean(hits) <= 0.015


def test_a_tail_far_out_is_seen_although_the_core_is_blind_to_it() -> None:
    random = np.random.default_rng(9)
    each = Reference("hear", "input", "level", emulation.learned(random.normal(size=50_000), 10))
    values = random.normal(size=(200, 1000))
    values = np.where(random.random(values.shape) < 0.02, 6.0, values)
    live = emulation.counts(values, np.array(each.baseline.bounds))
    assert (emulation.evidence(each, live, "psi") > 1).mean() > 0.95
