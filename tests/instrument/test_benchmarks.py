"""The benchmarks run from a checkout, every row of them; their numbers are for `make bench` to judge."""

from __future__ import annotations

import math
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram

from benchmarks import memory, scrape
from benchmarks.measure import Row, added, ratio
from benchmarks.results import table

ROOT = Path(__file__).resolve().parents[2]

ROWS = [
    "Call, flush included, against the same written by hand with prometheus_client",
    "Call, flush included, against autometrics on prometheus_client: latency and count alone",
    "Call, flush included, against autometrics as it comes, on OpenTelemetry: latency and count alone",
    "Call, flush included, against the same with the OpenTelemetry SDK",
    "Call without flush, against a wrapper of two clock reads",
    "Async call against sync call",
    "Item of a stream of 100, against prometheus_client by hand",
    "Item of a batch of 256, against a loop of observe",
    "Calls a second of 8 threads over one's, against the undecorated: a function that holds the interpreter lock",
    "Calls a second of 8 threads over one's, against the undecorated: a function that releases it",
    "Scrape (text) of 50 stages with 10 features each, against prometheus_client with the same series",
    "Scrape (OpenMetrics) of 50 stages with 10 features each, against prometheus_client with the same series",
    "import pipemon, against import prometheus_client, numpy",
    "Peak of resident memory during 500 calls that nobody scrapes",
    "Python objects left by 500 calls",
    "Arrays of 100 MB alive after their calls",
    "generate of 100 failure modes over 50 stages: the whole command",
    "generate of 100 failure modes over 50 stages: peak of resident memory",
    "check of 100 failure modes over 50 stages: the whole command",
    "check of 100 failure modes over 50 stages: peak of resident memory",
    "One evaluation of all rules of 100 failure modes over 50 stages, against the scrape interval",
    "Slowest evaluation of any of their groups, against its own interval: 100 failure modes over 50 stages",
    *(
        f"Processor time to open the dashboard {name}: 2 stages with 2 features each and 2 h behind them"
        for name in ("cascade", "drift", "feedback", "of one pipeline", "resources", "stage", "versions")
    ),
]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("benchmarks") / "results.md"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--out", str(out)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == out.read_text().strip()
    return out.read_text()


def test_every_row_is_measured_beside_its_command(written: str) -> None:
    lines = [line.strip("| ").split(" | ") for line in written.splitlines() if line.startswith("| ")][2:]
    assert [line[0] for line in lines] == ROWS
    for line in lines:
        assert math.isfinite(float(re.sub(r"x|%| s| MB", "", line[1]))), line
        assert re.fullmatch(r"`make bench PART=[a-z]+`", line[-1]), line


def test_the_results_tell_the_machine_and_the_versions_but_not_whose_it_is(written: str) -> None:
    for told in (platform.python_version(), "autometrics 1.0.0", "opentelemetry-sdk ", "prometheus-client ", "numpy "):
        assert told in written
    assert platform.node() not in written
    assert not re.search(r"/\w+/\w+/", written)


def test_an_unknown_part_is_told_with_those_there_are() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks", "cals"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2
    assert "there is no part 'cals'; there are calls, streams" in ran.stderr


def test_the_ratio_is_of_what_is_added_and_the_median_rounds() -> None:
    times = {"bare": [1.0, 1.0, 2.0], "stage": [2.0, 3.0, 3.0], "by hand": [5.0, 5.0, 12.0]}
    assert added(times, "by hand", "bare") == [4.0, 4.0, 10.0]
    assert ratio(added(times, "stage", "bare"), added(times, "by hand", "bare")) == 0.25


@pytest.mark.parametrize(
    ("row", "met"),
    [
        (Row("a", 1.2, at_most=1.2), "yes"),
        (Row("a", 1.21, at_most=1.2), "**no**"),
        (Row("a", 0.9, at_least=0.95), "**no**"),
        (Row("a", 7.0), ""),
    ],
)
def test_a_row_says_whether_its_target_is_met(monkeypatch: pytest.MonkeyPatch, row: Row, met: str) -> None:
    monkeypatch.setattr("benchmarks.results.machine", lambda: "a machine")
    line = table([("calls", [row])]).splitlines()[6]
    assert line.split("|")[4].strip() == met


def test_the_plain_registry_of_the_scrape_has_the_same_samples() -> None:
    registry = CollectorRegistry()
    Counter("calls_total", "Calls.", ["stage"], registry=registry).labels("a").inc(3)
    seconds: Any = Histogram("seconds", "Time.", ["stage"], buckets=(1.0, 2.0), registry=registry)
    for value in (0.5, 1.5, 9.0):
        seconds.labels("a").observe(value)
    plain = scrape.same_series(registry.collect())
    scrape.check_same(registry.collect(), plain.collect())
    for name, labels in [
        ("calls_total", {"stage": "a"}),
        ("seconds_bucket", {"stage": "a", "le": "2.0"}),
        ("seconds_count", {"stage": "a"}),
        ("seconds_sum", {"stage": "a"}),
    ]:
        assert plain.get_sample_value(name, labels) == registry.get_sample_value(name, labels) is not None
    Counter("more_total", "More.", registry=plain)
    with pytest.raises(AssertionError, match="more_total"):
        scrape.check_same(registry.collect(), plain.collect())


def test_memory_sees_an_array_that_is_kept() -> None:
    assert memory.measure(calls=100, numbers=1000).arrays == 0
    kept: list[object] = []

    def same(array: memory.Array) -> memory.Array:
        kept.append(array)
        return array

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "same", same)
        assert memory.measure(calls=100, numbers=1000).arrays == 2
