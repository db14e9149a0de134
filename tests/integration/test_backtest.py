"""A backtest against the real rule engine, on the same past."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import daily_past
import drifting_past
import learned_past
import past as past_module
import pytest
import sudden_past
from click.testing import CliRunner, Result
from past import BEGIN, SPEC, Values, blocks, engine_agrees, past
from real_servers import running_prometheus

from pipemon.backtest.history import Period
from pipemon.backtest.replay import evaluations, queries, replay
from pipemon.cli import cli
from pipemon.generate.inhibition import plan
from pipemon.generate.rules import rule_file, rules
from pipemon.prometheus import Prometheus
from pipemon.spec.load import load

pytestmark = pytest.mark.integration

HOURS = 2
PERIOD = Period(BEGIN, BEGIN + HOURS * 3600)
PROGRESS = "past: asking Prometheus"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Prometheus, Values]]:
    """A Prometheus that has the past, and the past."""
    folder, values = tmp_path_factory.mktemp("prometheus"), past(HOURS)
    blocks(values, folder / "data")
    with running_prometheus("{}", folder) as prometheus:
        yield prometheus, values


def run(spec: Path, prometheus: Prometheus, *more: str) -> Result:
    asked = ["backtest", str(spec), "--url", prometheus.url, "--from", str(BEGIN), "--to", str(PERIOD.end), *more]
    return CliRunner().invoke(cli, asked)


def test_it_fires_in_the_very_evaluations_in_which_the_rule_engine_does(
    kept: tuple[Prometheus, Values], tmp_path: Path
) -> None:
    """Eleven failure modes and their faults: held back, flapping, kept firing, adding up, over a counter's reset."""
    (tmp_path / "past.yaml").write_text(SPEC)
    prometheus, values = kept
    made = plan(load(tmp_path / "past.yaml"))
    every = evaluations(rules(made.spec))
    found = replay(made, prometheus, PERIOD, every, lambda: None)
    engine_agrees(rule_file(rules(made.spec)), values, found, every, tmp_path / "engine")
    assert {name for name, firings in found.fired.items() if not firings} == {"never"}


def test_it_tells_when_how_often_and_what_held_it_back(kept: tuple[Prometheus, Values], tmp_path: Path) -> None:
    (tmp_path / "past.yaml").write_text(SPEC)
    told = run(tmp_path / "past.yaml", kept[0])
    assert told.exit_code == 0, told.output
    lines = told.stdout.splitlines()
    assert lines[0] == "past: 2h from 2023-11-14T22:00:00Z to 2023-11-15T00:00:00Z"
    assert "  never (page): never" in lines
    assert "held back by hears-nothing" in lines[next(i for i, line in enumerate(lines) if "  repeats " in line) + 1]
    assert PROGRESS in told.stderr


def test_a_threshold_is_chosen_and_written_and_fires_as_often_as_it_was_said(
    kept: tuple[Prometheus, Values], tmp_path: Path
) -> None:
    spec = tmp_path / "past.yaml"
    text = SPEC.replace("above: 10%, severity: page", "above: auto, severity: page  # what can be borne\n ")
    assert text.count("auto") == 1
    spec.write_text(text)
    first = run(spec, kept[0], "--budget", "30/day")
    said = re.search(r"hears-nothing: above ([0-9.]+%) would have fired (.*)", first.stdout)
    assert said, first.output
    assert spec.read_text() == text
    assert "hears-nothing: not yet measurable: waits for `pipemon backtest --write`" in first.stdout
    second = run(spec, kept[0], "--budget", "30/day", "--write")
    assert second.exit_code == 0, second.output
    assert spec.read_text() == text.replace("auto", said[1])
    assert said[2] in ("once", "2 times"), "30 a day are two and a half in 2 hours"
    assert f"hears-nothing (page): {said[2]}" in second.stdout


def test_a_history_that_is_shorter_than_what_was_asked_for_is_told(
    kept: tuple[Prometheus, Values], tmp_path: Path
) -> None:
    (tmp_path / "past.yaml").write_text(SPEC)
    asked = ["backtest", str(tmp_path / "past.yaml"), "--url", kept[0].url, "--to", str(PERIOD.end), "--days", "40"]
    told = CliRunner().invoke(cli, [*asked, "--step", "2m"]).stdout
    assert "  Prometheus keeps 15d, and 40d were asked for" in told
    began = re.search(r"  samples begin at (2023-11-14T\d+:\d+:\d+Z) and are there for ", told)
    assert began, told
    assert "too short to tell how often a week" in told
    assert " a week;" not in told
    starts = re.findall(r"^    (\S+Z) for ", told, re.MULTILINE)
    assert min(starts) >= began[1]  # the silence before there was anything is no firing of `silent`


def test_what_labels_told_late_fires_in_the_very_evaluations_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(past_module, "STEP", learned_past.STEP)
    (tmp_path / "past.yaml").write_text(learned_past.SPEC)
    values, made = learned_past.learned_past(2), plan(load(tmp_path / "past.yaml"))
    blocks(values, tmp_path / "server" / "data")
    with running_prometheus("{}", tmp_path / "server") as prometheus:
        every = evaluations(rules(made.spec))
        found = replay(made, prometheus, Period(BEGIN, BEGIN + 2 * 3600), every, lambda: None)
    assert {name for name, firings in found.fired.items() if not firings} == set(), found.absent
    engine_agrees(rule_file(rules(made.spec)), values, found, every, tmp_path / "engine")


def test_drift_is_worked_out_of_what_was_exported_and_fires_in_the_very_evaluations_too(tmp_path: Path) -> None:
    """Numbers, categories, several at once by Benjamini and Hochberg, a new version, other bins than the baseline's."""
    made, values = plan(load(drifting_past.write_spec(tmp_path))), drifting_past.drifting_past(1)
    blocks(values, tmp_path / "server" / "data")
    with running_prometheus("{}", tmp_path / "server") as prometheus:
        every, asked = evaluations(rules(made.spec)), 0

        def done() -> None:
            nonlocal asked
            asked += 1

        found = replay(made, prometheus, Period(BEGIN, BEGIN + 3600), every, done)
        assert asked == queries(every, Period(BEGIN, BEGIN + 3600)), "progress ends at its end"
        auto = drifting_past.SPEC.replace("above: 0.6", "above: auto")
        spec = drifting_past.write_spec(tmp_path, auto)
        asked_for = ["backtest", str(spec), "--url", prometheus.url, "--from", str(BEGIN), "--to", str(BEGIN + 3600)]
        told = CliRunner().invoke(cli, [*asked_for, "--budget", "48/day", "--write"])
    engine_agrees(rule_file(rules(made.spec)), values, found, every, tmp_path / "engine")
    assert {name for name, firings in found.fired.items() if not firings} == set(), found.absent
    said = re.search(r"far-louder: above ([0-9.]+) would have fired once\n", told.stdout)
    assert said, told.output
    assert spec.read_text() == auto.replace("auto", said[1])
    assert "  far-louder (ticket): once; " in told.stdout


def test_hours_that_were_wrong_are_nothing_to_compare_with_a_day_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the rules ask of their own alerts is when these would have been there: nobody had loaded them."""
    monkeypatch.setattr(past_module, "STEP", daily_past.STEP)
    (tmp_path / "past.yaml").write_text(daily_past.SPEC)
    made = plan(load(tmp_path / "past.yaml"))
    blocks(daily_past.daily_past(), tmp_path / "server" / "data")
    period, asked = Period(BEGIN, BEGIN + daily_past.HOURS * 3600), []
    with running_prometheus("{}", tmp_path / "server") as prometheus:
        every = evaluations(rules(made.spec))
        found = replay(made, prometheus, period, every, lambda: asked.append(1))
    assert len(asked) == queries(every, period), "progress ends at its end"
    (firing,) = found.fired["unlike-yesterday"]
    assert firing.end is not None
    begun, ended = ((time - BEGIN) / 3600 for time in (firing.start, firing.end))
    first, last = daily_past.OTHERS
    assert first < begun < first + 1
    assert last < ended < last + 3, "not once more when the same hours come again"


def test_what_reads_its_own_past_is_worked_out_step_by_step_and_fires_in_the_very_evaluations_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hour before, kept while its alert lasts, of shares and of drift; and sums of shares, levels and spreads."""
    monkeypatch.setattr(past_module, "STEP", sudden_past.STEP)
    made, values, asked = plan(load(sudden_past.write_spec(tmp_path))), sudden_past.sudden_past(), []
    blocks(values, tmp_path / "server" / "data")
    period = Period(BEGIN, BEGIN + sudden_past.HOURS * 3600)
    with running_prometheus("{}", tmp_path / "server") as prometheus:
        every = evaluations(rules(made.spec))
        found = replay(made, prometheus, period, every, lambda: asked.append(1))
    assert len(asked) == queries(every, period), "progress ends at its end"
    assert {name for name, firings in found.fired.items() if not firings} == set(), found.absent
    engine_agrees(rule_file(rules(made.spec)), values, found, every, tmp_path / "engine")
