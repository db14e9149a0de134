"""Whose word error rate gets worse in the speech example, as `pipemon slices` ranks it from a real Prometheus."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import cascade
import pytest
import traffic
from click.testing import CliRunner
from prometheus_client import REGISTRY
from real_servers import running_prometheus, until
from real_speech import calls, every_recording, heard_once

import pipemon
from pipemon.cli import cli
from pipemon.prometheus import Prometheus

pytestmark = pytest.mark.integration

SPEC = Path(cascade.__file__).with_name("failure_modes.yaml")
SCRAPE = """
scrape_configs:
  - job_name: speech
    scrape_interval: 1s
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""
ROUNDS = 15
"""Of all recordings, each fifth call a child's: 48 calls of children."""


def play(fault: str | None) -> None:
    draw = random.Random(1)
    playlist = traffic.shuffled(every_recording(), draw)
    for number, recording in enumerate(itertools.islice(playlist, ROUNDS * len(every_recording()))):
        traffic.serve(recording, fault, None, draw.random(), "adult" if number % 5 else "child")


def scored(prometheus: Prometheus) -> float:
    found = prometheus.query('sum(pipemon_quality_score_bucket{pipeline="speech",slice!="",le="+Inf"})')
    return found[0].value if found else 0.0


def told() -> float:
    """The same as this process has it, with what other tests said before."""
    return sum(
        sample.value
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.name == "pipemon_quality_score_bucket"
        and sample.labels["pipeline"] == "speech"
        and sample.labels["slice"]
        and sample.labels["le"] == "+Inf"
    )


def test_children_are_ranked_first_once_they_are_misunderstood(tmp_path: Path) -> None:
    calls()
    exposition = pipemon.expose(port=0, addr="127.0.0.1")
    try:
        with heard_once(), running_prometheus(SCRAPE.format(port=exposition.port), tmp_path) as prometheus:
            play(None)
            until(lambda: scored(prometheus) >= told(), "a scrape of good calls")
            play("children")
            until(lambda: scored(prometheus) >= told(), "a scrape of what children were told")
            found = CliRunner().invoke(cli, ["slices", str(SPEC), "--url", prometheus.url, "--days", "0.01"])
    finally:
        exposition.close()
    assert found.exit_code == 0, found.output
    lines = found.stdout.splitlines()
    scores = lines.index("  asr: wer, less is better")
    assert lines[scores + 2].split()[0] == "age=child"
    assert lines[scores + 3].endswith("best")
    assert lines[scores + 4] == "    collect more of age=child"
