"""Sudden changes by hand: a fault that lasts stays told, its end raises nothing, the next one is seen at once.

A scrape and an evaluation come every minute, so a window of 5 minutes holds 5 steps of a counter, and the hour before
it the 60 steps until then.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from rule_tests import Expect, check, rules_of

pytestmark = pytest.mark.integration

SPEC = """\
pipeline: chain
owner: team
scrape_interval: 60s
stages: {hear: {features: {input.level: dBFS}}}
failure_modes:
"""
STAGE = 'pipeline="chain",stage="hear",version="1",track="stable"'
FEATURE = f'{STAGE},direction="input",feature="level"'
PHASES = (80, 180, 40, 20, 100)
"""Minutes: all is well for 80, a fault from 80 on lasts for 180, well for 40, another from 300 on for 20, well."""
END = sum(PHASES)


def counter(well: float, bad: float) -> str:
    """A counter that rises by so much a minute while all is well, and by so much while it is not."""
    parts, level = ["0"], 0.0
    for number, minutes in enumerate(PHASES):
        rise = bad if number % 2 else well
        parts.append(f"{level + rise:g}+{rise:g}x{minutes - 1}")
        level += minutes * rise
    return " ".join(parts)


def fires(alert: str, *times: tuple[int, int]) -> list[Expect]:
    """The alert fires from the first of each two minutes until right before the second, and never else."""
    expr = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)'
    expected, quiet = [], 0
    for begin, end in times:
        expected += [
            Expect(f"{begin - 1}m", f"max_over_time(({expr})[{begin - 1 - quiet}m:1m])", {"{}": 0}),
            Expect(f"{end - 1}m", f"min_over_time(({expr})[{end - 1 - begin}m:1m])", {"{}": 1}),
        ]
        quiet = end
    return [*expected, Expect(f"{END}m", f"max_over_time(({expr})[{END - quiet}m:1m])", {"{}": 0})]


def recorded(at: int, name: str, value: float, labels: str) -> Expect:
    """One recorded series alone, with this value to a millionth."""
    return Expect(f"{at}m", f"round({name} * 1e6)", {labels: round(value * 1e6)})


def rules(folder: Path, mode: str) -> str:
    (folder / "chain.yaml").write_text(
        f"{SPEC}  bad: {{what: x, stage: hear, pace: sudden, window: 5m, for: 2m, {mode}}}\n"
    )
    return rules_of(folder / "chain.yaml")


LEVELS = {
    # 60 values a minute: -26 dBFS each, and -14 dBFS while it is bad.
    f'pipemon_feature_value_bucket{{{FEATURE},le="+Inf"}}': counter(60, 60),
    f'pipemon_feature_sum_total{{{FEATURE},sign="positive"}}': counter(0, 0),
    f'pipemon_feature_sum_total{{{FEATURE},sign="negative"}}': counter(60 * 26, 60 * 14),
}


def test_a_mean_is_held_beside_the_hour_before_the_fault(tmp_path: Path) -> None:
    # After n minutes of the fault the mean of 5 is -26 + 12 n / 5: -21.2 with 2, -18.8 with 3. More than 6 dB over -26
    # is over -20: from 83 on, and for 2 minutes: it fires at 85. The hour before would be half of the fault, -20, at
    # 115, and nothing but the fault at 145: who compares with that hears no more of it from 115 on, and at 263, when
    # the mean is -14 - 12 * 3 / 5 = -21.2 again, of a change by more than 6 dB.
    # Held, it is compared with -26 for the three hours: over at 263. The hour before, 5 minutes ago, is clean at 325.
    # The other fault, from 300 on, is told at 305 all the same, and over at 323, three minutes behind its end.
    held = "pipeline_stage_failure_mode:pipemon_feature_value:mean_increase1h_offset5m_held"
    hour = "pipeline_stage_track_direction_feature:pipemon_feature_value:mean_increase1h_offset5m"
    of_mode = '{pipeline="chain",stage="hear",failure_mode="bad"}'
    of_feature = '{pipeline="chain",stage="hear",track="stable",direction="input",feature="level"}'
    made = rules(tmp_path, "signal: {mean: input.level}, changes_by: 6 dB")
    expected = [
        recorded(115, hour, -20, of_feature),
        recorded(115, held, -26, of_mode),
        recorded(200, hour, -14, of_feature),
        recorded(200, held, -26, of_mode),
        # 60 minutes from 230 until 290: 30 of the fault, 30 behind it.
        recorded(295, hour, -20, of_feature),
        recorded(295, held, -26, of_mode),
        *fires("ChainBad", (85, 263), (305, 323)),
    ]
    check(made, LEVELS, expected, tmp_path, "60s")


def test_a_change_counts_as_normal_once_it_was_held_for_so_long(tmp_path: Path) -> None:
    # As above, but for an hour and a half only. It is pending since 83: at 173 for 90 minutes, at 174 for longer.
    # From then on it is compared with the hour before, which is the fault alone: -14. So its end is a change: at 263
    # the mean is -21.2, less than -14 - 6, and it fires at 265. That is held in turn, -14, until the other fault makes
    # the mean -26 + 12 * 3 / 5 = -18.8 at 303, and again at 323, when it was over for 3 minutes: it fires at 325. Since
    # it was pending last (until 303), 65 minutes are over at 368 only; pending since 323 it is held until 413 and more.
    made = rules(tmp_path, "signal: {mean: input.level}, changes_by: 6 dB, hold: 90m")
    check(made, LEVELS, fires("ChainBad", (85, 174), (265, 303), (325, 414)), tmp_path, "60s")


def test_a_ratio_is_held_beside_the_hour_before_the_fault(tmp_path: Path) -> None:
    # 100 calls a minute, 2 of them null, 20 while it is bad: of 500 in the window 10 + 18 n, 5.6% with n = 1 and 9.2%
    # with 2. Over 3 times 2% from 82 on, and for 2 minutes: at 84. The hour before would be 2% + 18% / 60 each minute,
    # 6.8% at 101: 20% is less than 3 times that. Held, it is over 4 minutes behind its end, with 10 + 18 * 1 of 500.
    # From 295 minutes on the hour before has 25 of the fault, 9.5%, and 3 times that is more than the other fault:
    # held, that is told at 304.
    series = {
        f"pipemon_stage_calls_total{{{STAGE}}}": counter(100, 100),
        f"pipemon_stage_null_outputs_total{{{STAGE}}}": counter(2, 20),
    }
    ratio = "pipemon_stage_null_outputs_per_calls:ratio_increase1h_offset5m"
    held, of_mode = f"pipeline_stage_failure_mode:{ratio}_held", '{pipeline="chain",stage="hear",failure_mode="bad"}'
    hour, of_track = f"pipeline_stage_track:{ratio}", '{pipeline="chain",stage="hear",track="stable"}'
    made = rules(tmp_path, "signal: null_ratio, above: 3x last hour")
    expected = [
        recorded(101, hour, 0.068, of_track),
        recorded(101, held, 0.02, of_mode),
        recorded(300, hour, 0.095, of_track),
        recorded(300, held, 0.02, of_mode),
        *fires("ChainBad", (84, 264), (304, 324)),
    ]
    check(made, series, expected, tmp_path, "60s")
