"""Burn rates over days against sums that were done by hand, as the sum of hours that were recorded.

A scrape comes every 5 minutes, so an hour holds 12 steps of a counter. The rules are evaluated every 15 minutes.
"""

from __future__ import annotations

from pathlib import Path

import promql_parser as promql
import pytest
import yaml
from rule_tests import Expect, check, rules_of

from pipemon.generate.lint.series import walk
from pipemon.spec.expression import parse
from pipemon.units import seconds

SPEC = """\
pipeline: shop
objective: 99.5% over 30d
stages: {rank: {budget: 100ms}}
failure_modes:
  burns: {what: It fails too often, signal: budget_burn, severity: ticket}
  late: {what: It is late too often, stage: rank, signal: {budget_burn: latency}, severity: ticket}
  nulls: {what: Nothing comes out too often, stage: rank, signal: {budget_burn: null_ratio}, severity: ticket}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("shop") / "shop.yaml"
    path.write_text(SPEC)
    return rules_of(path)


@pytest.mark.integration
def test_a_day_is_the_sum_of_its_hours_through_a_restart_missing_scrapes_and_a_replica_that_goes(
    made: str, tmp_path: Path
) -> None:
    # Replica a runs 120 times an hour. It restarts after 12h30m, and three scrapes are missing from 14h15m on. From
    # 30h on a tenth of its runs fail: 12 an hour. Replica b runs 60 times an hour, and is scaled away after 20h.
    a, b = (f'pipeline="shop",version="1",instance="{name}"' for name in "ab")
    series = {
        f"pipemon_pipeline_runs_total{{{a}}}": "0+10x150 10+10x19 _x3 240+10x270",
        f"pipemon_pipeline_runs_total{{{b}}}": "0+5x240 stale",
        f'pipemon_pipeline_failures_total{{{a},failed_stage="rank"}}': "0x360 1+1x83",
    }
    name, place = "pipeline:pipemon_pipeline_failures_per_runs:ratio_increase", 'pipeline="shop"'

    def share(at: str, window: str, value: float) -> Expect:
        return Expect(at, f"round({name}{window} * 1e6)", {f"{{{place}}}": round(value * 1e6)})

    firing = 'count by (alertname) (ALERTS{alertstate="firing"})'
    check(
        made,
        series,
        [
            # Of a day: the 24 hours up to 34h, of which 10 have b's runs, and 4 are bad. Then each an hour later.
            share("34h15m", "1d", 4 * 12 / (24 * 120 + 10 * 60)),
            share("34h45m", "1d", 4 * 12 / (24 * 120 + 10 * 60)),
            share("35h15m", "1d", 5 * 12 / (24 * 120 + 9 * 60)),
            # Of three days: all hours that there were.
            share("32h15m", "3d", 2 * 12 / (32 * 120 + 20 * 60)),
            share("33h15m", "3d", 3 * 12 / (33 * 120 + 20 * 60)),
            # Above 0.5% over 3d, and for 2m: at the evaluation after that of 33h.
            Expect("33h", firing, {}),
            Expect("33h15m", firing, {'{alertname="ShopBurns"}': 1}),
        ],
        tmp_path,
        interval="5m",
        evaluation="15m",
    )


def test_no_rule_reads_counters_of_half_a_day_and_each_hour_is_recorded_once(made: str) -> None:
    rules = [rule for group in yaml.safe_load(made)["groups"] for rule in group["rules"]]
    names = [rule["record"] for rule in rules if "record" in rule]
    assert len(names) == len(set(names))
    # All calls are there for those that were not skipped to be told from them.
    pieces = [name for name in names if name.endswith(":increase1h") and not name.endswith("_calls:increase1h")]
    added = [rule for rule in rules if rule["expr"].startswith("sum_over_time(")]
    # Failures and runs; calls over a bound, and those with one; nulls, and calls: over a day and over three days.
    assert (len(pieces), len(added)) == (6, 12)
    assert {rule["expr"].partition("{")[0].removeprefix("sum_over_time(").strip() for rule in added} == set(pieces)
    for rule in rules:
        for node in walk(parse(rule["expr"])):
            if isinstance(node, promql.MatrixSelector):
                assert node.range.total_seconds() < seconds("12h"), rule["record"]
