"""What Prometheus has of scores, feedback and alerts, read back: which slice is served worst, which alert to prune."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from past import BEGIN, STEP, Values, blocks
from real_servers import running_prometheus, tool
from rule_tests import Expect, check, rules_of

from pipemon.catalogue import PIPELINE_BUDGET
from pipemon.cli import cli
from pipemon.generate.dashboards.pipeline import dashboard
from pipemon.generate.inhibition import plan
from pipemon.generate.live.running import live_samples, running
from pipemon.generate.promql import Selector
from pipemon.prometheus import Prometheus
from pipemon.spec.load import load
from pipemon.spec.model import Spec
from pipemon.watch.sources import Server

pytestmark = pytest.mark.integration

SPEC = """\
pipeline: past
stages: {hear: {budget: 50ms}, write: {after: hear, budget: 300ms}}
failure_modes:
  deaf: {what: it hears nothing, stage: hear, signal: null_ratio}
  mute: {what: it writes nothing, stage: write, signal: null_ratio}
  slow: {what: it takes long, stage: write, signal: {latency: p95}}
"""
STEPS = 240
WRITE = 'pipeline="past",stage="write",version="1",track="stable"'


def counted(rate: float) -> list[float | None]:
    return [step * rate for step in range(STEPS + 1)]


def told() -> Values:
    """An hour: of 10 scores a step 3 are of the young, 0.3 on average instead of 0.1; half of them ask again."""
    found: dict[str, list[float | None]] = {}
    for name, count, mean, redo in (("", 10.0, 0.16, 2.2), ("age=young", 3.0, 0.3, 1.5), ("age=old", 7.0, 0.1, 0.7)):
        of = f'{WRITE},slice="{name}"'
        for le, share in (("0.05", 0.2), ("0.2", 0.6), ("0.5", 1.0), ("+Inf", 1.0)):
            found[f'pipemon_quality_score_bucket{{{of},score="wer",le="{le}"}}'] = counted(count * share)
        found[f'pipemon_quality_sum_total{{{of},score="wer",sign="positive"}}'] = counted(count * mean)
        found[f'pipemon_quality_sum_total{{{of},score="wer",sign="negative"}}'] = counted(0)
        found[f'pipemon_feedback_total{{{of},signal="accepted"}}'] = counted(count - redo)
        found[f'pipemon_feedback_total{{{of},signal="redo"}}'] = counted(redo)
    firing: list[float | None] = [1.0 if 40 <= step < 80 or 120 <= step < 200 else None for step in range(STEPS + 1)]
    for stage, mode in (("hear", "deaf"), ("write", "mute")):
        which = f'alertname="{mode}",alertstate="firing",pipeline="past",stage="{stage}",failure_mode="{mode}"'
        found[f"ALERTS{{{which}}}"] = firing
    return found


SLOW = """\
pipeline: slow
scrape_interval: 5m
budget: 100ms
stages: {hear: {budget: 50ms}}
failure_modes:
  deaf: {what: it hears nothing, stage: hear, signal: null_ratio}
  old: {what: it was trained long ago, stage: hear, signal: age, above: 10d, for: 20m}
"""
SCRAPES = 132


def slowly() -> Values:
    """Eleven hours of scrapes each five minutes, every third half a minute late."""
    steps = [20 * scrape + 2 * (scrape % 3 == 2) for scrape in range(SCRAPES)]

    def scraped(rate: float, first: float = 0.0) -> list[float | None]:
        values: list[float | None] = [None] * (20 * SCRAPES + 1)
        for step in steps:
            values[step] = first + rate * step
        return values

    of, rates = 'pipeline="slow",version="1",track="stable"', {"calls": 3.0, "null_outputs": 0.3, "failures": 0.0}
    found = {f'pipemon_stage_{name}_total{{{of},stage="hear"}}': scraped(rate) for name, rate in rates.items()}
    for le in ("0.05", "+Inf"):
        bucket = f'pipemon_stage_duration_seconds_bucket{{{of},stage="hear",le="{le}"}}'
        found[bucket] = scraped(3.0)
    found['pipemon_pipeline_budget_seconds{pipeline="slow",version="1"}'] = scraped(0.0, 0.1)
    return found


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("prometheus")
    blocks({**told(), **slowly()}, folder / "data")
    with running_prometheus("{}", folder) as prometheus:
        yield prometheus


def slow_spec(folder: Path) -> Spec:
    (folder / "slow.yaml").write_text(SLOW)
    return load(folder / "slow.yaml")


def run(command: str, prometheus: Prometheus, folder: Path) -> list[str]:
    (folder / "past.yaml").write_text(SPEC)
    asked = [command, str(folder / "past.yaml"), "--url", prometheus.url, "--to", str(BEGIN + STEPS * STEP)]
    found = CliRunner().invoke(cli, [*asked, "--days", str(STEPS * STEP / 86400)])
    assert found.exit_code == 0, found.output
    return found.stdout.splitlines()


def test_slices_are_ranked_by_what_is_to_be_won(kept: Prometheus, tmp_path: Path) -> None:
    lines = run("slices", kept, tmp_path)
    scores, shares = (
        lines.index("  write: wer, less is better"),
        lines.index("  write: feedback that is not good, less is better"),
    )
    young = lines[scores + 2].split()
    # 30% of the scores, 0.2 worse than the old.
    assert (young[0], young[1], young[3]) == ("age=young", "30.0%", "0.3")
    assert lines[scores + 2].endswith(" 0.2  0.06")
    assert lines[scores + 3].endswith("best")
    assert lines[scores + 4] == "    collect more of age=young"
    # 30% of what was told, of which half is not good instead of a tenth.
    young = lines[shares + 2].split()
    assert (young[0], young[1], young[3]) == ("age=young", "30.0%", "0.5")
    assert lines[shares + 2].endswith(" 0.4  0.12")


def test_a_review_of_what_fired(kept: Prometheus, tmp_path: Path) -> None:
    lines = run("review", kept, tmp_path)
    assert lines[1] == "  never fired: slow"
    # 10 and 20 minutes, and each time the lookback: imported series have no mark where they end.
    assert "    deaf: 2 times, 336 a week, 40m in all" in lines
    assert lines[-2] == "  always fired together:"
    assert lines[-1].startswith("    deaf and mute: ")


def test_what_is_scraped_each_five_minutes_has_no_gaps_on_its_own_dashboard(kept: Prometheus, tmp_path: Path) -> None:
    board: Any = dashboard(plan(slow_spec(tmp_path)).spec)
    points = {}
    for panel in (each for row in board["panels"] for each in (row, *row.get("panels", ()))):
        for target in panel.get("targets", ()) if panel["type"] == "timeseries" else ():
            for minute in range(5):
                # As if it were opened in each of the minutes between two scrapes.
                since = BEGIN + 3600 + 60 * minute + 15
                expr = target["expr"].replace("$__rate_interval", "20m")
                for series in kept.query_range(expr, since, since + 300 * (SCRAPES - 16), 300):
                    points[panel["title"], target["refId"], minute] = len(series.points)
    assert len({title for title, *_ in points}) >= 4
    assert {*points.values()} == {SCRAPES - 15}


def test_an_alert_of_a_gauge_goes_on_between_scrapes_that_are_five_minutes_apart(tmp_path: Path) -> None:
    (tmp_path / "slow.yaml").write_text(SLOW)
    # Of two scrapes one is two minutes late, so that seven minutes are between some; rules are evaluated any time.
    of = '{pipeline="slow",stage="hear",version="1",track="stable"}'
    series = {
        f"pipemon_stage_trained_timestamp_seconds{of}": " ".join(["-1e6 _ _ _ _ _ _ -1e6 _ _"] * 8),
        f"pipemon_stage_calls_total{of}": " ".join(f"{10 * n} _ _ _ _ _ _ {10 * n + 7} _ _" for n in range(8)),
    }
    always = 'sum(count_over_time(ALERTS{failure_mode="old",alertstate="firing"}[29m30s:1m]))'
    check(rules_of(tmp_path / "slow.yaml"), series, [Expect("70m", always, {"{}": 30})], tmp_path, "1m")


def test_what_the_last_scrape_told_is_still_shown_where_it_is_just_beyond_the_lookback(tmp_path: Path) -> None:
    spec = slow_spec(tmp_path)
    last = time.time() - 305
    name = PIPELINE_BUDGET.name
    page = "".join(f'{name}{{pipeline="slow",version="1"}} 0.1 {last - 300 * n:.3f}\n' for n in (2, 1, 0))
    (tmp_path / "page.txt").write_text(f"# TYPE {name} gauge\n{page}# EOF\n")
    made = (str(tmp_path / "page.txt"), str(tmp_path / "data"))
    tool("promtool", "tsdb", "create-blocks-from", "openmetrics", "--quiet", *made)
    with running_prometheus("{}", tmp_path) as prometheus:
        live, _ = running(prometheus.url, spec)
        assert live.shown([name], ["version"], "slow") == [{"__name__": name, "pipeline": "slow", "version": "1"}]
        assert [each.value for each in live.now(Selector(PIPELINE_BUDGET, ())) or ()] == [0.1]
        assert [each.value for each in live_samples(prometheus.url, spec, [name])] == [0.1]
        assert Server(prometheus.url, None, interval=300.0).read().gauges[name, "slow", "1"] == 0.1
        assert not prometheus.query(name)
