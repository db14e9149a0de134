"""Rules against sums that were done by hand: what is recorded, and the minute at which an alert begins to fire.

A scrape comes every 15 s, so a window of 5 minutes holds 20 steps of a counter.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rule_tests import Expect, check, rules_of

pytestmark = pytest.mark.integration

SPEC = """\
pipeline: chain
owner: team
targets: {job: chain}
baseline: chain.baseline.json
stages: {hear: {budget: 300ms, features: {output.level: dBFS}}}
failure_modes:
"""
BASELINE = {
    "pipeline": "chain",
    "from": 0,
    "to": 1,
    "features": {"hear.output.level": {"mean": -20, "sd": 4, "count": 500}},
}
STAGE = 'pipeline="chain",stage="hear",version="1",track="stable",job="chain",instance="a"'
ALERT = '{pipeline="chain",stage="hear"}'


def rules(folder: Path, mode: str) -> str:
    (folder / "chain.baseline.json").write_text(json.dumps(BASELINE))
    (folder / "chain.yaml").write_text(f"{SPEC}  bad: {{what: it goes wrong, {mode}}}\n")
    return rules_of(folder / "chain.yaml")


def fires(at: str, labels: str = ALERT) -> list[Expect]:
    """The alert fires from `at` (whole minutes) on, and not 15 s before."""
    just_before = f"{int(at.removesuffix('m')) - 1}m45s"
    by = ", ".join(part.partition("=")[0] for part in labels.strip("{}").split(","))
    expr = f'max by ({by}) (ALERTS{{alertname="ChainBad",alertstate="firing"}})'
    return [Expect(just_before, expr, {}), Expect(at, expr, {labels: 1})]


def recorded(at: str, name: str, value: float, labels: str) -> Expect:
    """One recorded series alone, with this value to a millionth."""
    return Expect(at, f"round({name} * 1e6)", {f"{{{labels}}}": round(value * 1e6)})


def test_null_ratio_is_null_outputs_over_calls_of_five_minutes(tmp_path: Path) -> None:
    # 3 calls a scrape are 60 in a window. From the scrape at 10:00 on, 1 of 3 is null: after n more scrapes
    # n / 60. Above 6% (3.6 of 60) with n = 4, at 11:00; and for 2 minutes at 13:00.
    series = {
        f"pipemon_stage_calls_total{{{STAGE}}}": "0+3x120",
        f"pipemon_stage_null_outputs_total{{{STAGE}}}": "0x40 1+1x80",
    }
    ratio = "pipeline_stage:pipemon_stage_null_outputs_per_calls:ratio_increase5m"
    place = 'pipeline="chain",stage="hear"'
    made = rules(tmp_path, "stage: hear, signal: null_ratio, above: 6%, for: 2m")
    # The scrape at 10:00 is the last with 0; at 10:45 3 of 60 are null, at 11:00 4, from 15:00 on 20.
    expected = [
        recorded("10m", ratio, 0, place),
        recorded("10m45s", ratio, 3 / 60, place),
        recorded("11m", ratio, 4 / 60, place),
        recorded("15m", ratio, 20 / 60, place),
        *fires("13m"),
    ]
    check(made, series, expected, tmp_path)


def test_a_latency_is_the_share_of_calls_over_the_bound(tmp_path: Path) -> None:
    # 10 calls a scrape, 200 in a window. From 10:00 on 3 of 10 take longer than 300 ms: after n scrapes 3n / 200.
    # p95 is above 300 ms where more than 5%, 10 of 200, do: with n = 4, at 11:00. For 2 minutes: at 13:00.
    bucket = "pipemon_stage_duration_seconds_bucket"
    series = {
        f'{bucket}{{{STAGE},le="0.3"}}': "0+10x40 407+7x80",
        f'{bucket}{{{STAGE},le="0.45"}}': "0+10x120",
        f'{bucket}{{{STAGE},le="+Inf"}}': "0+10x120",
        f"pipemon_stage_duration_seconds_count{{{STAGE}}}": "0+10x120",
    }
    over = "pipeline_stage_le:pipemon_stage_duration_seconds:over_ratio_increase5m"
    place = 'pipeline="chain",stage="hear",le="0.3"'
    made = rules(tmp_path, "stage: hear, signal: {latency: p95}, above: budget, for: 2m")
    expected = [
        recorded("10m", over, 0, place),
        recorded("10m45s", over, 9 / 200, place),
        recorded("11m", over, 12 / 200, place),
        recorded("20m", over, 0.3, place),
        *fires("13m"),
    ]
    check(made, series, expected, tmp_path)


def test_a_mean_leaves_the_baseline_by_standard_deviations(tmp_path: Path) -> None:
    # The baseline is -20 dBFS, with a standard deviation of 4; 1.5 of them are 6: good is -26 to -14.
    # 4 values a scrape, 80 in a window, each -20, so the sum of their sizes falls by 80 a scrape. From 10:00 on
    # each is -30: after n scrapes the mean is -(80 * (20 - n) + 120 * n) / 80 = -20 - n / 2. Below -26 with
    # n = 13, at 13:15. For 2 minutes, and 45 s more to a whole minute: at 16:00.
    place = f'{STAGE},direction="output",feature="level"'
    series = {
        f'pipemon_feature_value_bucket{{{place},le="+Inf"}}': "0+4x120",
        f'pipemon_feature_sum_total{{{place},sign="positive"}}': "0x120",
        f'pipemon_feature_sum_total{{{place},sign="negative"}}': "0+80x40 3320+120x80",
    }
    mean = "pipeline_stage_direction_feature:pipemon_feature_value:mean_increase5m"
    own = 'pipeline="chain",stage="hear",direction="output",feature="level"'
    made = rules(
        tmp_path,
        "stage: hear, signal: {mean: output.level}, changes_by: 1.5 sd, for: 2m45s",
    )
    expected = [
        recorded("10m", mean, -20, own),
        recorded("13m", mean, -26, own),
        recorded("13m15s", mean, -26.5, own),
        recorded("15m", mean, -30, own),
        *fires("16m"),
    ]
    check(made, series, expected, tmp_path)


def test_a_mean_of_values_of_both_signs_is_the_difference_of_their_sums(
    tmp_path: Path,
) -> None:
    # Each scrape brings 1, 1 and -8: their mean is -2.
    place = f'{STAGE},direction="output",feature="level"'
    series = {
        f'pipemon_feature_value_bucket{{{place},le="+Inf"}}': "0+3x60",
        f'pipemon_feature_sum_total{{{place},sign="positive"}}': "0+2x60",
        f'pipemon_feature_sum_total{{{place},sign="negative"}}': "0+8x60",
    }
    mean = "pipeline_stage_direction_feature:pipemon_feature_value:mean_increase5m"
    own = 'pipeline="chain",stage="hear",direction="output",feature="level"'
    made = rules(tmp_path, "stage: hear, signal: {mean: output.level}, above: 0")
    check(made, series, [recorded("10m", mean, -2, own)], tmp_path)


def test_feedback_is_counted_per_call_and_once_in_whatever_slices_it_is(tmp_path: Path) -> None:
    # 5 calls a scrape, 100 in a window. From 10:00 on two users a scrape ask again, one of them young: after n
    # scrapes 2n / 100. Above 20% with n = 11, at 12:45. For 2 minutes and 15 s: at 15:00.
    series = {
        f"pipemon_stage_calls_total{{{STAGE}}}": "0+5x120",
        f'pipemon_feedback_total{{{STAGE},signal="redo",slice=""}}': "0x40 2+2x80",
        f'pipemon_feedback_total{{{STAGE},signal="redo",slice="age=young"}}': "0x40 1+1x80",
        f'pipemon_feedback_total{{{STAGE},signal="accepted",slice=""}}': "0+3x120",
    }
    share = "pipeline_stage_signal:pipemon_feedback_per_stage_calls:ratio_increase5m"
    redo, accepted = (f'{{pipeline="chain",stage="hear",signal="{signal}"}}' for signal in ("redo", "accepted"))
    made = rules(tmp_path, "stage: hear, signal: {feedback: redo}, above: 20%, for: 2m15s")
    expected = [
        Expect("12m30s", f"round({share} * 100)", {redo: 20, accepted: 60}),
        Expect("12m45s", f"round({share} * 100)", {redo: 22, accepted: 60}),
        Expect("15m", f"round({share} * 100)", {redo: 40, accepted: 60}),
        *fires("15m"),
    ]
    check(made, series, expected, tmp_path)


def test_no_calls_waits_until_the_window_holds_none(tmp_path: Path) -> None:
    # The last call is counted at 10:00. A window of 5 minutes holds both of its ends, so at 14:45 it begins with the
    # scrape at 9:45 and has seen that call; at 15:00 it has not. For 2 minutes: at 17:00.
    series = {
        f"pipemon_stage_calls_total{{{STAGE}}}": "0+2x40 80x80",
        'up{job="chain",instance="a"}': "1x120",
    }
    calls = "pipeline_stage:pipemon_stage_calls:increase5m"
    place = 'pipeline="chain",stage="hear"'
    made = rules(tmp_path, "stage: hear, signal: no_calls, for: 2m")
    expected = [
        recorded("10m", calls, 40, place),
        recorded("14m45s", calls, 2, place),
        recorded("15m", calls, 0, place),
        *fires("17m"),
    ]
    check(made, series, expected, tmp_path)


def test_no_calls_fires_two_minutes_after_the_last_target_is_gone(
    tmp_path: Path,
) -> None:
    # Two processes: one can't be scraped from 10:00 on, the other from 12:00 on, at 12:00 the first time that
    # none is up. For 2 minutes: at 14:00, with calls still in the window.
    other = STAGE.replace('"a"', '"b"')
    series = {
        f"pipemon_stage_calls_total{{{STAGE}}}": "0+2x39 stale",
        f"pipemon_stage_calls_total{{{other}}}": "0+2x47 stale",
        'up{job="chain",instance="a"}': "1x39 0x80",
        'up{job="chain",instance="b"}': "1x47 0x72",
        'up{job="other",instance="c"}': "1x120",
    }
    made = rules(tmp_path, "stage: hear, signal: no_calls, for: 2m")
    check(made, series, fires("14m"), tmp_path)
