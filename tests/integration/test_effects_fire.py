"""Effects fire beside their cause, by promtool; that they reach nobody is Alertmanager's inhibition alone.

So an inhibition that is lost, or an Alertmanager that is not pipemon's, tells all of a cascade rather than none.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from real_servers import Labels, running_alertmanager
from rule_tests import Expect, check

from pipemon.generate.alertmanager import alertmanager_file
from pipemon.generate.inhibition import Plan, plan
from pipemon.generate.rules import rule_file, rules
from pipemon.spec.load import load

pytestmark = pytest.mark.integration

CASCADE = """\
pipeline: lines
owner: team
scrape_interval: 60s
stages:
  find: {}
  read: {after: find, features: {output.confidence: ratio}}
  speak: {after: read}
failure_modes:
  finds-nothing: {what: x, stage: find, signal: null_ratio, above: 20%, window: 5m, for: 2m, severity: page}
  unsure: {what: x, stage: read, signal: {mean: output.confidence}, below: 0.5, window: 5m, for: 2m, severity: page}
  breaks: {what: x, stage: speak, signal: error_ratio, above: 15%, window: 5m, for: 2m, severity: page}
"""
CAUSE, EFFECTS = "finds-nothing", ("unsure", "breaks")


@pytest.fixture
def made(tmp_path: Path) -> Plan:
    (tmp_path / "lines.yaml").write_text(CASCADE)
    return plan(load(tmp_path / "lines.yaml"))


def labels(made: Plan, mode: str) -> Labels:
    """The labels with which a failure mode's alert leaves Prometheus."""
    (rule,) = [rule for rule in rules(made.spec).alerts if rule.mode.name == mode]
    return {"alertname": rule.name, "pipeline": "lines", "stage": str(rule.mode.stage), **rule.labels}


def series(*, downstream: bool) -> dict[str, str]:
    """Counters of 100 calls a minute through each stage; from 20:00 on the first fails, and what is downstream too."""

    def place(stage: str) -> str:
        return f'pipeline="lines",stage="{stage}",version="1",track="stable"'

    confidence = f'{place("read")},direction="output",feature="confidence"'
    found = {f"pipemon_stage_calls_total{{{place(stage)}}}": "0+100x60" for stage in ("find", "read", "speak")}
    found[f"pipemon_stage_null_outputs_total{{{place('find')}}}"] = "0x20 40+40x39"
    found[f'pipemon_feature_value_bucket{{{confidence},le="+Inf"}}'] = "0+100x60"
    found[f'pipemon_feature_sum_total{{{confidence},sign="positive"}}'] = (
        "0+90x20 1840+40x39" if downstream else "0+90x60"
    )
    found[f'pipemon_feature_sum_total{{{confidence},sign="negative"}}'] = "0x60"
    found[f"pipemon_stage_failures_total{{{place('speak')}}}"] = "0x20 30+30x39" if downstream else "0x60"
    return found


@pytest.mark.parametrize("downstream", [True, False], ids=["the cascade fails", "the first stage alone fails"])
def test_effects_fire_while_their_cause_does_and_not_because_it_does(
    made: Plan, *, downstream: bool, tmp_path: Path
) -> None:
    # After n minutes of the fault 5 minutes hold 40 n null of 500: 16% with n = 2, 24% with 3, so over 20% from 23:00
    # on, and for 2 minutes: at 25:00. 30 n of 500 fail: 12%, then 18%, over 15% from 23:00 on: at 25:00, too. The mean
    # confidence is (90 (5 - n) + 40 n) / 500: 0.5 with n = 4, 0.4 with 5, below 0.5 from 25:00 on: at 27:00.
    every = (CAUSE, *EFFECTS) if downstream else (CAUSE,)
    first = [mode for mode in every if mode != "unsure"]

    def firing(at: str, *modes: str) -> Expect:
        told = (", ".join(f'{name}="{value}"' for name, value in labels(made, mode).items()) for mode in modes)
        return Expect(at, 'sum without (alertstate) (ALERTS{alertstate="firing"})', {f"{{{each}}}": 1 for each in told})

    expected = [
        firing("24m"),
        firing("25m", *first),
        firing("26m", *first),
        firing("27m", *every),
        firing("59m", *every),
        Expect("59m", 'min_over_time((count(ALERTS{alertstate="firing"}))[32m:1m])', {"{}": len(every)}),
    ]
    check(rule_file(rules(made.spec)), series(downstream=downstream), expected, tmp_path, "60s")


@pytest.mark.parametrize("inhibited", [True, False], ids=["as generated", "without its inhibition"])
def test_nothing_but_the_inhibition_rules_hold_them_back(made: Plan, *, inhibited: bool, tmp_path: Path) -> None:
    config = yaml.safe_load(alertmanager_file([made], "http://127.0.0.1:1/"))
    assert config["inhibit_rules"]
    if not inhibited:
        config["inhibit_rules"] = []
    cascade = {mode: labels(made, mode) for mode in (CAUSE, *EFFECTS)}
    with running_alertmanager(yaml.safe_dump(config), tmp_path / "alertmanager") as inbox:
        assert inbox.held_back({mode: cascade[mode] for mode in EFFECTS}) == {}, "nothing is held back by nothing"
        assert inbox.held_back(cascade) == (dict.fromkeys(EFFECTS, CAUSE) if inhibited else {})
