"""A backtest against the real rule engine, on the same past."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from past import BEGIN, SPEC, blocks, engine_agrees, past
from real_servers import running_prometheus

from pipemon.backtest.history import Period
from pipemon.backtest.replay import evaluations, replay
from pipemon.cli import cli
from pipemon.generate.inhibition import plan
from pipemon.generate.rules import rule_file, rules
from pipemon.spec.load import load

pytestmark = pytest.mark.integration

HOURS = 3
PROGRESS = "past: asking Prometheus"


def test_it_fires_in_the_very_evaluations_in_which_the_rule_engine_does(tmp_path: Path) -> None:
    """Ten failure modes and their faults: alone, held back, flapping, kept firing, over a counter's reset."""
    (tmp_path / "past.yaml").write_text(SPEC)
    values = past(HOURS)
    blocks(values, tmp_path / "prometheus" / "data")
    made = plan(load(tmp_path / "past.yaml"))
    period = Period(BEGIN, BEGIN + HOURS * 3600)
    every = evaluations(rules(made.spec))
    with running_prometheus("{}", tmp_path / "prometheus") as prometheus:
        found = replay(made, prometheus, period, every, lambda: None)
        asked = ["backtest", str(tmp_path / "past.yaml"), "--url", prometheus.url]
        told = CliRunner().invoke(cli, [*asked, "--from", str(BEGIN), "--to", str(period.end)])
    engine_agrees(rule_file(rules(made.spec)), values, found, every, tmp_path / "engine")
    assert {name for name, firings in found.fired.items() if not firings} == {"never"}
    assert told.exit_code == 0, told.output
    lines = told.stdout.splitlines()
    assert lines[0] == "past: 3h from 2023-11-14T22:00:00Z to 2023-11-15T01:00:00Z"
    assert "  never (page): never" in lines
    assert "held back by hears-nothing" in lines[next(i for i, line in enumerate(lines) if "  repeats " in line) + 1]
    assert PROGRESS in told.stderr
