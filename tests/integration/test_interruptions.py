"""What the example's rules make of lost scrapes, restarts and replicas that come and go: nothing; and of a kill."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from rule_tests import Expect, check, fired, rules_of

pytestmark = pytest.mark.integration

SPEECH = Path(__file__).resolve().parents[2] / "examples" / "speech"

VAD_LEVEL = 'stage="vad",direction="input",feature="audio_level_dbfs"'
VAD_BAND = 'stage="vad",direction="input",feature="audio_high_band_db"'
VAD_SEGMENTS = 'stage="vad",direction="output",feature="segments"'
VAD_SHARE = 'stage="vad",direction="output",feature="speech_share"'
ASR_SCORE = 'stage="asr",direction="output",feature="acoustic_score"'
ASR_ERRORS = 'stage="asr",direction="output",feature="word_error_rate"'

BASELINE = {
    "vad.input.audio_high_band_db": {"mean": -30, "sd": 3, "count": 1000},
    "vad.output.speech_share": {"mean": 0.7, "sd": 0.1, "count": 1000},
    "asr.output.acoustic_score": {"mean": -4, "sd": 0.5, "count": 1000},
}


def sums(feature: str, mean: float) -> dict[str, float]:
    """Six values of a feature: their count, and their sum by sign."""
    return {
        f'pipemon_feature_value_bucket{{{feature},le="+Inf"}}': 6,
        f'pipemon_feature_sum_total{{{feature},sign="positive"}}': max(6 * mean, 0),
        f'pipemon_feature_sum_total{{{feature},sign="negative"}}': max(-6 * mean, 0),
    }


# What six calls add to each series: one scrape's worth.
HEALTHY = {
    "pipemon_pipeline_runs_total{}": 6,
    'pipemon_pipeline_failures_total{failed_stage="vad"}': 0,
    'pipemon_pipeline_failures_total{failed_stage="asr"}': 0,
    'pipemon_pipeline_duration_seconds_bucket{le="1.8"}': 6,
    "pipemon_pipeline_duration_seconds_count{}": 6,
    'pipemon_stage_calls_total{stage="vad"}': 6,
    'pipemon_stage_calls_total{stage="asr"}': 6,
    'pipemon_stage_failures_total{stage="asr"}': 0,
    'pipemon_stage_null_outputs_total{stage="vad"}': 0,
    'pipemon_stage_duration_seconds_bucket{stage="asr",le="1.5"}': 6,
    'pipemon_stage_duration_seconds_count{stage="asr"}': 6,
    'pipemon_feedback_total{stage="asr",signal="redo",slice=""}': 1,
    f"pipemon_feature_observed_total{{{ASR_ERRORS}}}": 6,
    f"pipemon_feature_missing_total{{{ASR_ERRORS}}}": 1,
    'pipemon_extractor_errors_total{stage="asr",feature="words"}': 0,
    **sums(VAD_LEVEL, -24),
    **sums(VAD_BAND, -30),
    **sums(VAD_SEGMENTS, 2),
    **sums(VAD_SHARE, 0.7),
    **sums(ASR_SCORE, -4),
}
ILL = HEALTHY | {
    'pipemon_pipeline_duration_seconds_bucket{le="1.8"}': 3,
    'pipemon_stage_failures_total{stage="asr"}': 3,
    'pipemon_stage_null_outputs_total{stage="vad"}': 3,
    'pipemon_stage_duration_seconds_bucket{stage="asr",le="1.5"}': 3,
    'pipemon_feedback_total{stage="asr",signal="redo",slice=""}': 3,
    f"pipemon_feature_missing_total{{{ASR_ERRORS}}}": 6,
    'pipemon_extractor_errors_total{stage="asr",feature="words"}': 1,
    **sums(VAD_LEVEL, -70),
    **sums(VAD_BAND, -60),
    **sums(VAD_SEGMENTS, 0),
    **sums(VAD_SHARE, 0.3),
    **sums(ASR_SCORE, -6),
}

EVERY_ALERT_ON_CALLS = (
    "SpeechTelephoneMicrophones", "SpeechDeadAir", "SpeechVadCutsEverything",
    "SpeechVadTrimsWords", "SpeechGibberish", "SpeechRecogniserCrashes", "SpeechSlowAsr", "SpeechNobodyScoresUs",
    "SpeechUsersRepeatThemselves", "SpeechAnswerTooLate", "SpeechFlyingBlind",
)  # fmt: skip

Phases = tuple[tuple[str, int], ...]
"""What a process does for so many scrapes: it is `new`, goes `on`, is `lost` to Prometheus, `down` or `removed`."""


def counter(step: float, phases: Phases) -> str:
    """A counter's samples, in promtool's notation."""
    total, samples = 0.0, list[str]()
    for phase, scrapes in phases:
        if phase in ("new", "on"):
            total = 0.0 if phase == "new" else total
            samples += [f"{total + step * i:.6g}" for i in range(scrapes)]
        else:
            samples += [*(["stale"] if samples else ["_"]), *["_"] * (scrapes - 1)]
        total += step * scrapes
    return " ".join(samples)


def process(*phases: tuple[str, int], calls: Mapping[str, float] = HEALTHY, **labels: str) -> dict[str, str]:
    """The series of one process; its labels are those of the first replica of version 1.0.0, or `labels`."""
    target = {"job": "speech", "instance": "a:9464", **labels}
    own = {"pipeline": "speech", "version": "1.0.0", **target}
    found = {}
    for name, step in calls.items():
        more = own if name.startswith("pipemon_pipeline") else {"track": "stable", **own}
        inner = ",".join(
            [
                name[name.index("{") + 1 : -1],
                *(f'{label}="{value}"' for label, value in more.items()),
            ]
        )
        found[f"{name[: name.index('{')]}{{{inner.strip(',')}}}"] = counter(step, phases)
    reachable = {"new": "1", "on": "1", "lost": "0", "down": "0", "removed": "_"}
    marked = [mark for phase, scrapes in phases for mark in [reachable[phase]] * scrapes]
    gone = [i for i, mark in enumerate(marked) if mark == "_" and i and marked[i - 1] != "_"]
    up = ["stale" if i in gone else mark for i, mark in enumerate(marked)]
    instance = ",".join(f'{label}="{target[label]}"' for label in ("job", "instance"))
    return found | {f"up{{{instance}}}": " ".join(up)}


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("speech")
    for file in SPEECH.glob("*.[py]*"):
        shutil.copy(file, folder)
    document = {"pipeline": "speech", "from": 0, "to": 1, "features": BASELINE}
    (folder / "speech.baseline.json").write_text(json.dumps(document))
    return rules_of(folder / "failure_modes.yaml")


def test_the_series_are_those_on_which_every_alert_fires_when_all_is_wrong(rules: str, tmp_path: Path) -> None:
    series = process(("new", 160), calls=ILL)
    check(rules, series, [fired("40m", "40m", *EVERY_ALERT_ON_CALLS)], tmp_path)


def test_healthy_traffic_fires_nothing(rules: str, tmp_path: Path) -> None:
    check(rules, process(("new", 160)), [fired("40m", "40m")], tmp_path)


def test_scrapes_that_are_lost_for_less_than_two_minutes_fire_nothing(rules: str, tmp_path: Path) -> None:
    series = process(("new", 60), ("lost", 1), ("on", 24), ("lost", 4), ("on", 24), ("lost", 7), ("on", 40))
    check(rules, series, [fired("39m", "39m")], tmp_path)


def test_scrapes_that_are_lost_again_and_again_fire_nothing(rules: str, tmp_path: Path) -> None:
    series = process(("new", 60), *(("lost", 6), ("on", 6)) * 8)
    check(rules, series, [fired("39m", "39m")], tmp_path)


def test_a_killed_process_fires_the_absence_of_calls_and_nothing_else(rules: str, tmp_path: Path) -> None:
    series = process(("new", 60), ("down", 100))
    before, after = fired("16m45s", "16m"), fired("17m", "16m", "SpeechNobodyCalls")
    check(
        rules,
        series,
        [before, after, fired("39m", "39m", "SpeechNobodyCalls")],
        tmp_path,
    )


def test_a_process_that_nobody_calls_fires_the_absence_of_calls_and_nothing_else(rules: str, tmp_path: Path) -> None:
    series = process(("new", 160), calls=dict.fromkeys(HEALTHY, 0))
    check(rules, series, [fired("39m", "39m", "SpeechNobodyCalls")], tmp_path)


def test_counters_that_begin_again_fire_nothing(rules: str, tmp_path: Path) -> None:
    series = process(("new", 60), ("new", 47), ("down", 3), ("new", 50))
    check(rules, series, [fired("39m", "39m")], tmp_path)


def test_a_process_that_restarts_every_three_minutes_fires_nothing(rules: str, tmp_path: Path) -> None:
    check(rules, process(*(("new", 12),) * 14), [fired("40m", "40m")], tmp_path)


def test_a_replica_that_joins_and_leaves_fires_nothing(rules: str, tmp_path: Path) -> None:
    series = process(("new", 160)) | process(("removed", 50), ("new", 50), ("removed", 60), instance="b:9464")
    check(rules, series, [fired("40m", "40m")], tmp_path)


def test_one_of_two_replicas_killed_fires_nothing(rules: str, tmp_path: Path) -> None:
    series = process(("new", 160)) | process(("new", 60), ("down", 100), instance="b:9464")
    check(rules, series, [fired("40m", "40m")], tmp_path)


def test_a_new_version_in_place_of_the_old_one_fires_nothing(rules: str, tmp_path: Path) -> None:
    new = process(("removed", 60), ("new", 100), version="1.1.0", instance="b:9464")
    check(
        rules,
        process(("new", 60), ("removed", 100)) | new,
        [fired("40m", "40m")],
        tmp_path,
    )


def test_a_fault_that_lasts_goes_on_firing_through_every_interruption(rules: str, tmp_path: Path) -> None:
    lost, restart, slow_restart = (("lost", 7), ("on", 41)), (("new", 48),), (("down", 3), ("new", 61))
    series = process(("new", 160), *lost, *restart, *slow_restart, calls=ILL)
    # They are at 40, 52 and 64 minutes; from a minute before each there are 49 evaluations in 12 minutes.
    throughout = 'count by (alertname) (count_over_time(ALERTS{alertstate="firing"}[12m]) == 49)'
    alerts = {f'{{alertname="{alert}"}}': 1.0 for alert in EVERY_ALERT_ON_CALLS}
    check(rules, series, [Expect(at, throughout, alerts) for at in ("51m", "63m", "75m")], tmp_path)
