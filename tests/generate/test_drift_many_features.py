"""How the features of a stage share its false alarms: by the generated rules in promtool, beside scipy."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drifting import SPEC, WINDOW, Scrapes, Test, baseline, of_categories, promtool
from numpy.typing import NDArray
from rule_subsets import documents, failing
from scipy import stats

from benchmarks.drift import emulation
from pipemon.generate import rules as generated
from pipemon.generate.drift.constants import ALPHA, Reference
from pipemon.generate.drift.distribution import distribution
from pipemon.generate.drift.statistics import drift
from pipemon.generate.drift.stepping_up import stepped_up
from pipemon.generate.drift.watched import ranks_of, references
from pipemon.generate.recordings import Recording, in_order
from pipemon.spec.load import load
from pipemon.spec.model import BENJAMINI_HOCHBERG, BONFERRONI

HERE = Path(__file__).parent
BOUNDS = (-1.0, -0.3, 0.3, 1.0)
SIZE, LIVE, FEATURES, NUMBERS = 9000, 1000, 12, 10
MOVED = (0, 2, 5, 8, 10, 12)
"""How many features have moved in each version, some further than others."""


def watched() -> tuple[Reference, ...]:
    """Ten numbers and two categories, with as many values in each bin: no version has a baseline of its own."""
    even = baseline(BOUNDS, (SIZE / 5,) * 5), of_categories(dict.fromkeys("abcde", SIZE / 5))
    return tuple(
        Reference("hear", "input", f"f{i}", even[i >= NUMBERS], alpha=ALPHA / FEATURES, ranks=ranks_of(FEATURES))
        for i in range(FEATURES)
    )


def lived() -> NDArray[np.float64]:
    """So many values in each bin, by version and feature."""
    counts = np.full((len(MOVED), FEATURES, 5), LIVE / 5)
    for version, moved in enumerate(MOVED):
        for feature in range(moved):
            # From what one feature alone has to show to what all together have; the last of ten just what ten have.
            more = 39.35 if (moved, feature) == (10, 9) else 48.0 - 0.7 * feature
            counts[version, feature] += (more, -more, 0, 0, 0)
    return counts


@pytest.mark.integration
def test_the_more_features_have_moved_the_less_each_must_show_as_scipy_has_it(tmp_path: Path) -> None:
    every, counts, scrapes = watched(), lived(), Scrapes()
    for version, rows in enumerate(counts):
        for each, row in zip(every, rows, strict=True):
            if each.has_categories:
                scrapes.categories(each.feature, dict(zip("abcde", row, strict=True)), str(version))
            else:
                scrapes.histogram(each.feature, BOUNDS, row, str(version))
    apart = every[:NUMBERS], every[NUMBERS:]
    made = [drift(distribution(SPEC, WINDOW, these), these, "psi") for these in apart]
    names = [stepped_up(each, made).significant for each in made]
    p = np.array(
        [
            [
                stats.chi2.sf(emulation.values_of(each, row[None, :], "psi")[0] / (1 / LIVE + 1 / SIZE), 4)
                # Categories that nobody has heard of have a fifth of the false alarms.
                / (0.8 if each.has_categories else 1.0)
                for each, row in zip(every, rows, strict=True)
            ]
            for rows in counts
        ]
    )
    found = np.array([stats.false_discovery_control(np.minimum(row, 1.0)) <= ALPHA for row in p])
    alone = (p <= ALPHA / FEATURES).sum(1)
    assert found.sum(1).tolist() == [0, 2, 5, 8, 10, 12]
    assert (found.sum(1) > alone).sum() >= 3, "Bonferroni says it of fewer"
    # Ten is no rank: eight is, so the last of them is not said to have moved.
    found[4] = p[4] <= 8 * ALPHA / FEATURES
    assert found[4].sum() == 9
    rows = emulation.stepped_up(every, list(counts.swapaxes(0, 1)), "psi").T
    assert (rows == found).all()
    told: Test = {
        "expr": " or ".join(f"count by (version, feature) ({each.name} > 0)" for each in names),
        "eval_time": "10m",
        "exp_samples": [
            {"labels": f'{{version="{version}", feature="f{feature}"}}', "value": 1}
            for version, feature in np.argwhere(found).tolist()
        ],
    }
    known: Test = {
        "expr": " + ".join(f"count({each.name})" for each in names),
        "eval_time": "10m",
        "exp_samples": [{"labels": "{}", "value": len(MOVED) * FEATURES}],
    }
    assert promtool(tmp_path, names, scrapes, [told, known]) == ""


@pytest.mark.integration
def test_a_generated_rule_test_passes_only_where_features_share_by_benjamini_and_hochberg(tmp_path: Path) -> None:
    """Where others have moved a feature needs less than Bonferroni's; alone it needs that."""
    stepping = load(HERE / "stepping.yaml")
    rules, files = documents(generated.rules(stepping))
    evenly, _ = documents(generated.rules(replace(stepping, multiple_testing=BONFERRONI)))
    (file,) = (each for each in files if any("moved" in case["name"] for case in each["tests"]))
    both = [case for case in file["tests"] if "moved" in case["name"]]
    assert [case["name"] for case in both] == [
        "hotter-than-usual: fires where the others have moved too",
        "hotter-than-usual: is quiet where it alone has moved",
    ]
    assert failing(tmp_path, rules, {**file, "tests": both}) == ""
    said = failing(tmp_path, evenly, {**file, "tests": both})
    assert said.count("got:") == said.count("got: nil") == 1, said


@pytest.mark.parametrize(
    ("count", "ranks"),
    [(1, ()), (2, (1, 2)), (8, tuple(range(1, 9))), (16, (*range(1, 9), 16)), (40, (*range(1, 9), 16, 32, 40))],
)
def test_each_number_of_features_up_to_eight_is_asked_then_doublings_and_all(
    count: int, ranks: tuple[int, ...]
) -> None:
    assert ranks_of(count) == ranks


def test_a_file_says_how_they_share_evenly_where_it_does_not() -> None:
    spec = load(HERE / "drifting.yaml")
    features = (("taste", "input", "heat"), ("taste", "output", "stars"))
    assert spec.multiple_testing == BONFERRONI
    assert {(each.alpha, each.ranks) for each in references(spec, features)} == {(ALPHA / 3, ())}
    stepping = replace(spec, multiple_testing=BENJAMINI_HOCHBERG)
    assert {(each.alpha, each.ranks) for each in references(stepping, features)} == {(ALPHA / 3, (1, 2, 3))}


@pytest.mark.parametrize("count", [2, 20])
def test_what_many_features_read_is_looked_through_once_and_all_are_its_readers(
    count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"f{i}" for i in range(count)]
    entry = {"mean": 3.0, "sd": 2.0, "count": 9000, "bounds": [1.0, 2.0], "shares": [0.3, 0.3, 0.4]}
    learned = {"pipeline": "shop", "from": 0, "to": 1, "features": {f"hear.input.{name}": entry for name in names}}
    (tmp_path / "shop.baseline.json").write_text(json.dumps(learned))
    modes = {name: {"what": "x", "stage": "hear", "signal": {"drift": f"input.{name}"}} for name in names}
    file = {
        "pipeline": "shop",
        "owner": "team",
        "baseline": "shop.baseline.json",
        "multiple_testing": BENJAMINI_HOCHBERG,
        "stages": {"hear": {"features": {f"input.{name}": "words" for name in names}}},
        "failure_modes": modes,
    }
    # JSON is YAML.
    (tmp_path / "shop.yaml").write_text(json.dumps(file))
    looked: list[str] = []

    def noted(recording: Recording) -> tuple[Recording, ...]:
        looked.append(recording.name)
        return in_order(recording)

    monkeypatch.setattr(generated, "in_order", noted)
    made = generated.rules(load(tmp_path / "shop.yaml"))
    assert looked
    assert len(looked) == len(set(looked))
    constants = [name for name in made.readers if name.startswith("pipemon:baseline")]
    assert constants
    assert all(made.readers[name] == tuple(names) for name in constants)
