"""`pipemon baseline` learns a known distribution that the real runtime exported and a real Prometheus scraped."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry
from real_servers import running_prometheus, until

import pipemon
from pipemon.baseline.bins import shares
from pipemon.baseline.period import learn
from pipemon.errors import UnavailableError
from pipemon.generate.formats.scraping import prometheus_file
from pipemon.prometheus import Prometheus
from pipemon.spec import baseline as baselines
from pipemon.spec.baseline import Baseline
from pipemon.spec.load import load
from pipemon.spec.scale import scaled
from pipemon.units import fingerprint

pytestmark = pytest.mark.integration

SPEC = """\
pipeline: chain
select: {job: chain}
owner: team
baseline: chain.baseline.json
stages:
  hear: {features: {output.level: dBFS, output.share: ratio, output.offset: seconds, output.sign: }}
failure_modes:
  level-moves: {what: the level moves, stage: hear, signal: {mean: output.level}, changes_by: 1.5 sd}
  share-moves: {what: the share moves, stage: hear, signal: {mean: output.share}, changes_by: 1 sd}
  offset-moves: {what: the offset moves, stage: hear, signal: {mean: output.offset}, changes_by: 500ms}
"""
COUNT = 3000
FINE = tuple(np.arange(-3.0, 3.1, 0.25).tolist())


def drawn(level: float, share: float, offset: float) -> list[tuple[float, float, float]]:
    """Calls' values: a level in dB, always negative; a share; an offset in seconds, of both signs."""
    draw = np.random.default_rng(7)
    columns: tuple[NDArray[np.float64], ...] = (
        draw.normal(level, 6, COUNT), draw.beta(10 * share, 10 * (1 - share), COUNT), draw.normal(offset, 0.8, COUNT)
    )  # fmt: skip
    return list(zip(*(column.tolist() for column in columns), strict=True))


GOOD = drawn(-28, 0.7, 0.1)
BAD = drawn(-12, 0.3, 0.3)
QUARTILE = float(np.quantile([call[1] for call in GOOD], 0.75))


def sign(value: float) -> str:
    return "plus" if value > 0 else "minus"


@dataclass(frozen=True)
class Learned:
    folder: Path
    features: dict[str, dict[str, float]]
    baseline: Baseline
    printed: str
    refused: list[str]
    clashing: Baseline
    """That of the same calls, from series with a target's label `stage`."""


def pipemon_command(*arguments: str) -> str:
    command = [sys.executable, "-m", "pipemon", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout


def nothing(spec: Path, prometheus: Prometheus, start: float, end: float, version: str | None) -> str:
    with pytest.raises(UnavailableError) as told:
        learn(load(spec), prometheus, start, end, version)
    return str(told.value)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("learning")
    (folder / "chain.yaml").write_text(SPEC)
    clashing = SPEC.replace("{job: chain}", "{job: clashing}\nlabels: {stage: exported_stage}")
    (folder / "clashing.yaml").write_text(clashing)
    return folder


@pytest.fixture(scope="module")
def learned(folder: Path) -> Learned:
    """Serve bad calls, then good ones, then bad ones again; learn from the time of the good ones."""
    registry = CollectorRegistry()
    chain = pipemon.Pipeline("chain", "1.4", registry=registry)
    output = [
        pipemon.Feature("level", lambda heard: heard[0], unit="dBFS"),
        pipemon.Feature("share", lambda heard: heard[1], unit="ratio"),
        pipemon.Feature("offset", lambda heard: heard[2], unit="seconds", bounds=FINE),
        # One in four is not there.
        pipemon.Category(
            "sign", lambda heard: None if heard[1] > QUARTILE else sign(heard[2]), categories=("plus", "minus")
        ),
    ]

    @chain.stage("hear", after=(), output=output)
    def hear(heard: tuple[float, float, float]) -> tuple[float, float, float]:
        return heard

    exposition = pipemon.expose(port=0, addr="127.0.0.1", registry=registry)
    config = yaml.safe_load(
        prometheus_file([scaled(load(folder / "chain.yaml"), 60)], [f"127.0.0.1:{exposition.port}"], "127.0.0.1:1")
    )
    # The same once more, as of a site whose targets have a label `stage` of their own.
    (job,) = config["scrape_configs"]
    (ours,) = job["static_configs"]
    clashing = {**job, "job_name": "clashing", "static_configs": [{**ours, "labels": {"stage": "prod"}}]}
    config["scrape_configs"].append(clashing)

    def serve(prometheus: Prometheus, calls: list[tuple[float, float, float]], served: int) -> float:
        for call in calls:
            hear(call)
        until(lambda: len(prometheus.query(f"pipemon_stage_calls_total == {served}")) == 2, "calls scraped")
        return time.time()

    with running_prometheus(yaml.safe_dump(config), folder / "prometheus") as prometheus:
        until(lambda: len(prometheus.query("pipemon_stage_calls_total == 0")) == 2, "the first scrape")
        since = serve(prometheus, BAD, COUNT)
        # Prometheus guesses what lies between the ends of a period and its scrapes: some scrapes more make that little.
        until(lambda: prometheus.query(f"timestamp(pipemon_stage_calls_total) > {since + 2!r}"), "more scrapes")
        end = serve(prometheus, GOOD, 2 * COUNT)
        serve(prometheus, BAD, 3 * COUNT)
        period = ("--from", f"{since}", "--to", f"{end}")
        printed = pipemon_command("baseline", str(folder / "chain.yaml"), "--url", prometheus.url, *period)
        arrived = learn(load(folder / "clashing.yaml"), prometheus, since, end)
        refused = [nothing(folder / "chain.yaml", prometheus, *asked) for asked in ((0, 9e5, None), (since, end, "9"))]
    exposition.close()
    path = folder / "chain.baseline.json"
    document = json.loads(path.read_text())
    return Learned(folder, document["features"], baselines.load(path), printed, refused, arrived)


def test_where_there_is_nothing_it_says_of_which_time_and_version_and_when_there_is_something(learned: Learned) -> None:
    long_ago, of_another = learned.refused
    told = "has no values of chain's features from 1970-01-01 00:00 UTC to 1970-01-11 10:00 UTC; it has some between 2"
    assert told in long_ago
    assert "has no values of chain's features of version 9 from 2" in of_another
    assert of_another.endswith(", nor of any other time; is it scraped, and are its pipeline and labels named so?")


@pytest.mark.parametrize(("feature", "column"), [("level", 0), ("share", 1), ("offset", 2)])
def test_the_mean_is_that_of_the_good_calls_to_the_last_digit_written(
    learned: Learned, feature: str, column: int
) -> None:
    true = float(np.mean([call[column] for call in GOOD]))
    assert learned.features[f"hear.output.{feature}"]["mean"] == pytest.approx(true, rel=1e-5)


@pytest.mark.parametrize(
    ("feature", "column", "tolerance"),
    [
        ("level", 0, 0.12),  # buckets of 5 dB, nearly as wide as the spread of 6 dB
        ("share", 1, 0.12),  # buckets of 0.1, at a spread of 0.14
        ("offset", 2, 0.03),  # buckets of a third of the spread
    ],
)
def test_the_spread_is_that_of_the_good_calls_as_well_as_buckets_tell(
    learned: Learned, feature: str, column: int, tolerance: float
) -> None:
    true = float(np.std([call[column] for call in GOOD]))
    assert learned.features[f"hear.output.{feature}"]["sd"] == pytest.approx(true, rel=tolerance)


@pytest.mark.parametrize(("feature", "column"), [("level", 0), ("share", 1), ("offset", 2)])
def test_shares_are_those_of_the_good_calls_in_the_bins_that_ran(learned: Learned, feature: str, column: int) -> None:
    found = learned.baseline.features[f"hear.output.{feature}"]
    true = shares(np.array([call[column] for call in GOOD]), found.bounds)
    # Prometheus stretches an increase over the ends of a period, by a scrape or so, but not of what began at zero in
    # it, as some levels did: of the ten scrapes of this period that is much, of a day's nothing.
    assert found.shares == pytest.approx(true, abs=0.06 if feature == "level" else 1e-5)
    assert found.quantiles["p50"] == pytest.approx(np.median([call[column] for call in GOOD]), abs=found.sd / 4)


def test_categories_and_what_was_missing_are_those_of_the_good_calls(learned: Learned) -> None:
    found = learned.baseline.features["hear.output.sign"]
    seen = [sign(call[2]) for call in GOOD if call[1] <= QUARTILE]
    assert found.categories == pytest.approx(
        {"plus": seen.count("plus") / len(seen), "minus": seen.count("minus") / len(seen), "other": 0}, abs=1e-5
    )
    assert found.missing == pytest.approx(0.25, abs=0.03)  # began at zero, too
    assert found.count == pytest.approx(len(seen), rel=0.25)


def test_labels_that_arrive_under_other_names_are_read_so(learned: Learned) -> None:
    assert set(learned.clashing.features) == set(learned.baseline.features)
    for name, found in learned.clashing.features.items():
        # Of the same calls, scraped a moment apart; of ten scrapes Prometheus stretches one more than another.
        assert found.shares == pytest.approx(learned.baseline.features[name].shares, abs=0.1), name


def test_it_is_the_baseline_of_the_version_that_ran(learned: Learned) -> None:
    assert (learned.baseline.version, learned.baseline.stage_versions) == ("1.4", {})
    assert learned.baseline.source.startswith("Prometheus, 20")
    assert learned.baseline.features["hear.output.offset"].bins == fingerprint(FINE)


def test_what_was_learned_is_told(learned: Learned) -> None:
    assert learned.printed.startswith("Learned 4 features over ")
    assert learned.printed.strip().endswith("chain.baseline.json")


def test_failure_modes_that_waited_have_rules_around_what_was_learned(learned: Learned, tmp_path: Path) -> None:
    spec = learned.folder / "chain.yaml"
    printed = pipemon_command("generate", str(spec), "--out", str(tmp_path / "after"))
    assert "3 failure modes, 3 with an alert" in printed
    rules = (tmp_path / "after" / "rules" / "chain.rules.yml").read_text()
    for feature, step in (("level", 1.5), ("share", 1.0)):
        found = learned.features[f"hear.output.{feature}"]
        bounds = re.findall(rf'feature="{feature}"}}\s*\) [<>] (\S+)', rules)
        assert [float(bound) for bound in bounds[:2]] == [
            pytest.approx(found["mean"] + sign * step * found["sd"], rel=1e-3) for sign in (-1, 1)
        ]
        assert all(map(math.isfinite, map(float, bounds[:2])))


def test_without_a_baseline_they_wait_and_say_so(tmp_path: Path) -> None:
    (tmp_path / "chain.yaml").write_text(SPEC)
    printed = pipemon_command("generate", str(tmp_path / "chain.yaml"), "--out", str(tmp_path / "before"))
    assert "3 failure modes, 0 with an alert" in printed
    assert printed.count("waits for a baseline of") == 3
