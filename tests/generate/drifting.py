"""Histograms and categories of many features at once, through the generated rules in one run of promtool."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import ArrayLike, NDArray
from rule_subsets import DUMPER
from scipy import stats
from scipy.spatial.distance import jensenshannon

from pipemon.generate.drift.constants import Reference
from pipemon.generate.promql import block
from pipemon.generate.recordings import Recording, in_order
from pipemon.generate.ruletests.places import series
from pipemon.spec.baseline import FeatureBaseline
from pipemon.spec.model import Spec, Timing
from pipemon.units import fingerprint, le

STAGE, DIRECTION = "hear", "input"
WINDOW = 600.0
SPEC = Spec("shop", "team", "", Timing(scrape_interval=60.0), None, (), ())
_SCRAPES = 10
Test = dict[str, object]
Counts = NDArray[np.float64]


def baseline(
    bounds: ArrayLike, counts: ArrayLike, *, sd: float = 1.0, design_effect: float = 1.0, of_sums: float = 1.0
) -> FeatureBaseline:
    """Return a baseline of so many values in each bin, the last above the last bound, with its design effects."""
    bins = np.asarray(counts, float)
    shares = tuple(map(float, bins / bins.sum()))
    upper = tuple(map(float, np.asarray(bounds, float)))
    return FeatureBaseline(
        0.0,
        sd,
        float(bins.sum()),
        bounds=upper,
        shares=shares,
        design_effect=design_effect,
        cumulative_design_effect=of_sums,
    )


def of_categories(counts: Mapping[str, float]) -> FeatureBaseline:
    """Return a baseline of so many times each category."""
    total = sum(counts.values())
    return FeatureBaseline(0.0, 0.0, total, categories={name: count / total for name, count in counts.items()})


def reference(feature: str, base: FeatureBaseline, version: str = "1", alpha: float = 0.01) -> Reference:
    """Return a feature's baseline at the stage of these tests."""
    return Reference(STAGE, DIRECTION, feature, base, version, alpha=alpha)


@dataclass
class Scrapes:
    """Series as promtool takes them. Counters rise evenly, by so much in WINDOW."""

    series: dict[str, str] = field(default_factory=dict)

    def info(self, feature: str, bins: str, version: str = "1", instance: str = "a") -> None:
        """Let a replica say which bins a feature has."""
        self.series[self._name("info", feature, version, instance, unit="", bins=bins)] = f"1x{_SCRAPES}"

    def histogram(
        self, feature: str, bounds: Sequence[float], counts: ArrayLike, version: str = "1", instance: str = "a"
    ) -> None:
        """Let a replica count so many values in each bin within the window."""
        upper = (*map(le, bounds), "+Inf")
        for bound, count in zip(upper, accumulate(np.asarray(counts, float).tolist()), strict=True):
            self._count(self._name("value_bucket", feature, version, instance, le=bound), count)
        self.info(feature, fingerprint(bounds), version, instance)

    def categories(self, feature: str, counts: Mapping[str, float], version: str = "1", instance: str = "a") -> None:
        """Let a replica count so many times each category within the window."""
        for category, count in counts.items():
            self._count(self._name("category_total", feature, version, instance, category=category), count)
        self.info(feature, "", version, instance)

    def _count(self, name: str, count: float) -> None:
        self.series[name] = f"0+{count / _SCRAPES:.17g}x{_SCRAPES}"

    def _name(self, metric: str, feature: str, version: str, instance: str, **more: str) -> str:
        labels = {
            "pipeline": SPEC.pipeline, "stage": STAGE, "version": version, "track": "stable",
            "direction": DIRECTION, "feature": feature, **more, "instance": instance,
        }  # fmt: skip
        return series(f"pipemon_feature_{metric}", labels)


def rule_file(recordings: Iterable[Recording]) -> str:
    """Return a rule file with these recordings and what they read."""
    found = {(each.name, each.static): each for top in recordings for each in in_order(top)}
    rules = [
        {"record": each.name, "expr": block(each.expr)} | ({"labels": dict(each.static)} if each.static else {})
        for each in found.values()
    ]
    return yaml.dump({"groups": [{"name": "drift", "interval": "1m", "rules": rules}]}, Dumper=DUMPER, width=10_000)


def promtool(
    folder: Path,
    recordings: Iterable[Recording],
    scrapes: Scrapes,
    tests: list[Test],
    evaluation: str = "1m",
    interval: str = "1m",
) -> str:
    """Return what promtool finds different from the tests, "" for nothing."""
    (folder / "rules.yml").write_text(rule_file(recordings))
    test = {
        "interval": interval,
        "input_series": [{"series": name, "values": values} for name, values in scrapes.series.items()],
        "promql_expr_test": tests,
    }
    document = {"rule_files": ["rules.yml"], "evaluation_interval": evaluation, "tests": [test]}
    (folder / "tests.yml").write_text(json.dumps(document))
    done = subprocess.run(
        ["promtool", "test", "rules", "tests.yml"], cwd=folder, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr if done.returncode else ""


def equal(recording: Recording, values: Mapping[str, float], within: float = 1e-9) -> Test:
    """Expect that a rule gives these values by feature, and no other series."""
    wanted = " or ".join(
        f'label_replace(vector({value:.17g}), "feature", "{feature}", "", "")' for feature, value in values.items()
    )
    near = f"abs(sum by (feature) ({recording.name}) - on (feature) ({wanted or 'vector(0) > 1'})) <= bool {within:g}"
    return {
        "expr": f"({near}) or on (feature) -1 * count by (feature) ({recording.name})",
        "eval_time": "10m",
        "exp_samples": [{"labels": f'{{feature="{feature}"}}', "value": 1} for feature in values],
    }


def smoothed(counts: Counts) -> Counts:
    return np.asarray((counts + 0.5) / (counts.sum() + 0.5 * len(counts)))


def by_scipy(statistic: str, before: Counts, live: Counts) -> float:
    """How far the counts of the same bins are apart, by a statistic that needs no bounds."""
    p, q = smoothed(before), smoothed(live)
    match statistic:
        case "psi":
            return float(stats.entropy(p, q) + stats.entropy(q, p))
        case "js":
            return float(jensenshannon(p, q, base=2))
        case "hellinger":
            return float(np.linalg.norm(np.sqrt(p) - np.sqrt(q)) / np.sqrt(2))
        case "chi2":
            return float(stats.chisquare(q * live.sum(), p * live.sum()).statistic / live.sum())
    assert statistic == "ks", statistic
    return float(np.abs(np.cumsum(before / before.sum() - live / live.sum())).max())
