"""A pipeline that runs with other bins than its baseline is found, by `check` and by an alert."""

from __future__ import annotations

from pathlib import Path

import pytest
from real_servers import tool
from rule_tests import check, fired, rules_of

from pipemon.generate.baseline_bins import baseline_bins
from pipemon.generate.inhibition import plan
from pipemon.generate.live.bounds import bounds_findings
from pipemon.generate.rules import rule_file, rules
from pipemon.generate.ruletests import files as ruletests
from pipemon.prometheus import Sample
from pipemon.spec.baseline import Baseline, FeatureBaseline, dump
from pipemon.spec.load import load
from pipemon.spec.model import Spec

SPEC = """\
pipeline: chain
keep: [cluster]
stages: {hear: {features: {output.level: dBFS, output.words: words}}}
baseline: [chain.baseline.json, old.baseline.json]
failure_modes: {broken: {what: It raises, stage: hear, signal: error_ratio, above: 5%}}
"""
PLACE = {"pipeline": "chain", "stage": "hear", "track": "stable", "direction": "output"}


ALERT = ("ChainBucketBoundsDiffer",)


def learned(*bounds: float) -> FeatureBaseline:
    shares = (1.0,) + (0.0,) * len(bounds)
    return FeatureBaseline(0, 1, 500, "dBFS", bounds, shares)


NEW, OLD = learned(1, 2), learned(1, 3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    words = FeatureBaseline(0, 1, 500, "words", (5.0,))  # of an older pipemon: its shares are not known
    features = {"hear.output.level": NEW, "hear.output.words": words}
    (tmp_path / "chain.baseline.json").write_text(dump(Baseline("chain", 0, 1, features, "2")))
    (tmp_path / "old.baseline.json").write_text(dump(Baseline("chain", 0, 1, {"hear.output.level": OLD})))
    (tmp_path / "chain.yaml").write_text(SPEC)
    return tmp_path / "chain.yaml"


def running(spec: Spec, *versions: tuple[str, str]) -> list[str]:
    """What `check --url` says of versions and the hash of their bins."""
    place = {"pipeline": "chain", "stage": "hear", "track": "stable"}
    calls = [Sample({"__name__": "pipemon_stage_duration_seconds_bucket", **place, "le": "+Inf"}, 1.0)]
    info = {"__name__": "pipemon_feature_info", **place, "direction": "output", "feature": "level"}
    return bounds_findings(spec, calls + [Sample({**info, "version": v, "bins": bins}, 1.0) for v, bins in versions])


def test_each_version_has_the_bins_of_its_own_baseline_and_others_of_the_one_of_no_version(path: Path) -> None:
    new, old = baseline_bins(load(path))
    assert (new.bins, old.bins) == (NEW.bins, OLD.bins)
    assert [each.holds_for("2") for each in (new, old)] == [True, False]
    assert [each.holds_for("1") for each in (new, old)] == [False, True]


def test_check_finds_a_version_with_other_bins_and_is_silent_of_those_alike(path: Path) -> None:
    spec = load(path)
    assert running(spec, ("2", NEW.bins), ("1", OLD.bins)) == []
    (found,) = running(spec, ("2", OLD.bins), ("1", OLD.bins))
    assert found == (
        "version 2 of hear runs with other bins of output.level than its baseline; "
        'give baseline="chain.baseline.json" to pipemon.Pipeline(...) and restart it, or learn the baseline anew'
    )


@pytest.mark.integration
@pytest.mark.parametrize(
    ("version", "bins", "alerts"),
    [
        ("2", NEW, ()),
        ("1", OLD, ()),
        ("2", OLD, ("ChainBucketBoundsDiffer",)),
        ("1", NEW, ("ChainBucketBoundsDiffer",)),
    ],
    ids=["new", "old", "new with the old bins", "old with the new bins"],
)
def test_the_alert_fires_where_a_version_has_the_bins_of_another(
    path: Path, version: str, bins: FeatureBaseline, alerts: tuple[str, ...], tmp_path: Path
) -> None:
    labels = {**PLACE, "version": version, "feature": "level", "unit": "dBFS", "bins": bins.bins, "cluster": "a"}
    series = "pipemon_feature_info{" + ",".join(f'{label}="{value}"' for label, value in labels.items()) + "}"
    words = series.replace('"level"', '"words"').replace(bins.bins, "ffffffff")
    check(rules_of(path), {series: "1x80", words: "1x80"}, [fired("20m", "20m", *alerts)], tmp_path)


@pytest.mark.integration
def test_the_generated_tests_of_the_alert_pass(path: Path, tmp_path: Path) -> None:
    made = rules(plan(load(path)).spec)
    (tmp_path / "rules" / "tests").mkdir(parents=True)
    (tmp_path / "rules" / "chain.rules.yml").write_text(rule_file(made))
    text = ruletests.test_files(made)["chain.bounds.tests.yml"]
    assert "fires where a feature has other bins than its baseline" in text
    (tmp_path / "rules" / "tests" / "chain.bounds.tests.yml").write_text(text)
    tool("promtool", "test", "rules", "chain.bounds.tests.yml", cwd=tmp_path / "rules" / "tests")


def test_without_a_baseline_the_alert_is_as_it_was(path: Path) -> None:
    path.write_text(SPEC.replace("baseline: [chain.baseline.json, old.baseline.json]\n", ""))
    assert "than the baseline" not in rules_of(path)
    assert "bins!=" not in rules_of(path)
