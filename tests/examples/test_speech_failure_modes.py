"""The example's failure modes over windows of real calls: each fault fires its own, and a good period none."""

from __future__ import annotations

import itertools
import random
import shutil
from pathlib import Path
from statistics import fmean

import cascade
import margins
import pytest
import traffic
from margins import Call
from real_speech import calls, every_recording

from pipemon.spec.load import load
from pipemon.spec.model import Condition, FailureMode, Spec

EXAMPLE = Path(cascade.__file__).parent
CALLS = 38
"""What a window of the demo holds: 15 seconds at 2.5 calls a second."""


@pytest.fixture(scope="module")
def spec() -> Spec:
    """The example's file, with its baseline."""
    return load(EXAMPLE / "failure_modes.yaml")


def windows(fault: str | None = None, strength: float | None = None) -> list[list[Call]]:
    """Return twenty windows of calls in the order in which the traffic plays them."""
    measured = calls(fault, strength)
    playlists = (traffic.shuffled(every_recording(), random.Random(seed)) for seed in range(20))
    return [[measured[recording.name] for recording in itertools.islice(playlist, CALLS)] for playlist in playlists]


def value(condition: Condition, window: list[Call]) -> float | None:
    """Return what the rule would compare; None where nothing is to compare, or where the machine's speed decides."""
    heard = [call for call in window if call["segments"]]
    match condition.signal:
        case "mean":
            assert condition.feature is not None
            known = margins.values(window, condition.feature.name)
            return fmean(known) if known else None
        case "null_ratio":
            return 1 - len(heard) / len(window)
        case "missing_ratio" if heard:
            assert condition.feature is not None
            return 1 - len(margins.values(heard, condition.feature.name)) / len(heard)
        case "feedback" if heard:
            bad = sum((call["word_error_rate"] or 0) > traffic.BAD for call in heard) / len(heard)
            return bad * traffic.ASK_AGAIN + (1 - bad) * traffic.ASK_ANYWAY
    return None


def holds(condition: Condition, window: list[Call]) -> bool:
    found, good = value(condition, window), condition.threshold
    if found is None or good is None:
        return False
    return (good.low is not None and found < good.low) or (good.high is not None and found > good.high)


def fires(mode: FailureMode, window: list[Call]) -> bool:
    held = [holds(condition, window) for condition in mode.conditions]
    return all(held) if mode.combine == "all" else any(held)


def firing(spec: Spec, fault: str | None = None, strength: float | None = None) -> tuple[set[str], set[str]]:
    """Return the failure modes that fire in all windows, and those that fire in any; latency is left out."""
    each = [{mode.name for mode in spec.measurable if fires(mode, window)} for window in windows(fault, strength)]
    return set.intersection(*each), set.union(*each)


def test_every_failure_mode_is_measurable_but_an_idea(spec: Spec) -> None:
    assert [mode.name for mode in spec.failure_modes if mode.waiting] == ["talks-over-the-user"]


def test_without_a_baseline_as_the_demo_begins_only_what_compares_with_it_waits(tmp_path: Path) -> None:
    for name in ("cascade.py", "detector.py", "recogniser.py", "failure_modes.yaml"):
        shutil.copy(EXAMPLE / name, tmp_path)
    modes = {mode.name: mode for mode in load(tmp_path / "failure_modes.yaml").failure_modes}
    waiting = {name for name, mode in modes.items() if "baseline" in mode.waiting}
    drift = {"new-handsets", "other-rooms", "detector-wanders", "new-words"}
    assert waiting == {"telephone-microphones", "vad-trims-words", "gibberish"} | drift


def test_in_a_good_period_no_window_fires_anything(spec: Spec) -> None:
    assert firing(spec)[1] == set()


def test_a_good_window_stays_far_from_every_learned_threshold(spec: Spec) -> None:
    for mode in spec.measurable:
        for condition in mode.conditions:
            threshold = condition.threshold
            if condition.signal == "mean" and threshold and threshold.low is not None and threshold.high is not None:
                half, centre = (threshold.high - threshold.low) / 2, (threshold.high + threshold.low) / 2
                for window in windows():
                    found = value(condition, window)
                    assert found is not None
                    assert abs(found - centre) < 0.4 * half, mode.name


def test_telephone_lines_fire_the_cause_and_its_effects_and_nothing_else(spec: Spec) -> None:
    always, ever = firing(spec, "telephone_band", 0.9)
    assert always == ever == {"telephone-microphones", "gibberish", "users-repeat-themselves"}


def test_a_dead_line_fires_what_is_said_of_it(spec: Spec) -> None:
    always, _ = firing(spec, "silence")
    assert {"dead-air", "vad-cuts-everything"} <= always


def test_an_aggressive_detector_fires_that_it_trims_words_and_nothing_else(spec: Spec) -> None:
    always, ever = firing(spec, "aggressive_vad")
    assert always == ever == {"vad-trims-words"}


def test_a_softer_microphone_breaks_nothing_in_minutes(spec: Spec) -> None:
    assert firing(spec, "gain")[1] == set()


def test_the_mildest_busy_recogniser_is_over_both_budgets(spec: Spec) -> None:
    slow = margins.measure(every_recording()[0], "slow", 2.0)
    asr, whole = spec.stage("asr").budget, spec.budget
    assert slow["seconds"] is not None
    assert asr is not None
    assert whole is not None
    assert slow["seconds"] > max(asr, whole)


def test_causes_are_as_severe_as_the_effects_that_they_hold_back(spec: Spec) -> None:
    modes = {mode.name: mode for mode in spec.failure_modes}
    order = ("page", "ticket", "notice")
    for mode in spec.failure_modes:
        for effect in mode.leads_to:
            assert order.index(mode.severity) <= order.index(modes[effect].severity), f"{mode.name} to {effect}"
