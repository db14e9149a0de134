"""The kiosk and the nightly job of the speech example: each of their faults, and the one alert that it sends."""

from __future__ import annotations

import importlib
import itertools
from pathlib import Path

import kiosk
import nightly
import pytest
from phases import Phase, scraped, series
from processor_time import by_processor_time, sleeping_by
from real_speech import every_recording, heard_once
from rule_tests import check, fired, rules_of

pytestmark = pytest.mark.integration

FOLDER = Path(kiosk.__file__).parent


def showing(microphone: str = "open", slower: float = 0.0, minutes: int = 60) -> Phase:
    """An hour of what is said in front of a kiosk, a sentence every two seconds."""
    every = itertools.cycle(every_recording())

    def call() -> None:
        kiosk.slower = slower
        kiosk.show(kiosk.heard(next(every).samples, microphone))

    return Phase(call, minutes, 30)


def test_each_fault_of_a_kiosk_sends_one_alert(tmp_path: Path) -> None:
    good = showing()
    phases = [good, showing(slower=3), good, showing("covered"), good, showing("unplugged")]
    with by_processor_time(kiosk.captions) as clock, sleeping_by(clock, kiosk), heard_once():
        recorded = series("kiosk", phases, calls=16)
    kiosk.slower = 0.0
    expected = [
        fired("60m", "60m"),
        fired("120m", "50m", "KioskCaptionsBeginLate"),
        fired("180m", "20m"),
        fired("240m", "50m", "KioskMicrophoneCovered", "KioskCaptionsEmpty"),  # the effect is held back
        fired("300m", "20m"),
        fired("360m", "50m", "KioskNothingShown"),
    ]
    check(rules_of(FOLDER / "kiosk.yaml"), recorded, expected, tmp_path, interval="1m")


def test_a_kiosk_that_updates_do_not_reach_sends_one_alert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def started() -> dict[str, str]:
        importlib.reload(kiosk)  # as the device does when it is switched on
        with heard_once():
            return series("kiosk", [showing(minutes=30)], calls=16)

    for number, (trained, alerts) in enumerate((("2025-01-31", ["KioskUpdatesMissed"]), ("", []))):
        monkeypatch.setenv("KIOSK_TRAINED", trained)
        (tmp_path / str(number)).mkdir()
        expected = [fired("30m", "30m", *alerts)]
        check(rules_of(FOLDER / "kiosk.yaml"), started(), expected, tmp_path / str(number), interval="1m")


def test_each_fault_of_the_night_sends_one_alert(tmp_path: Path) -> None:
    """A gateway shows each run's counters until the next: a good week's, then now and then a bad one's, then none."""
    every = every_recording()

    def counted(calls: int = 32, seconds: float = 60.0, loses: float = 0.0) -> dict[str, float]:
        before = scraped("nightly")
        with heard_once():
            nightly.night(nightly.day(every, calls, seconds), loses)
        return {name: value - before.get(name, 0.0) for name, value in scraped("nightly").items()}

    good, few, left_out, cut = counted(), counted(calls=10), counted(loses=0.25), counted(seconds=1.0)
    nights = [*[good] * 8, few, good, left_out, good, cut, good]
    half_hours, silent = 48, 96  # of a day, and of those at the end that no run came in
    last = len(nights) * half_hours
    recorded = {
        name: " ".join(f"{night.get(name, 0.0)}x{half_hours - 1}" for night in nights) + f" {good[name]}x{silent}"
        for name in good
    }
    success = 'pipemon_batch_last_success_timestamp_seconds{pipeline="nightly", job="nightly"}'
    recorded[success] = " ".join(f"{86_400 * day}x{half_hours - 1}" for day in range(len(nights)))
    recorded[success] += f" {86_400 * (len(nights) - 1)}x{silent}"
    expected = [
        fired(f"{8 * 24}h", "191h"),
        fired(f"{9 * 24 - 1}h", "22h", "NightlyTooFewCalls"),
        fired(f"{10 * 24 - 1}h", "22h"),
        fired(f"{11 * 24 - 1}h", "22h", "NightlyCallsLeftOut"),
        fired(f"{12 * 24 - 1}h", "22h"),
        fired(f"{13 * 24 - 1}h", "22h", "NightlyHearsFewerWords"),
        fired(f"{14 * 24 - 1}h", "22h"),
        fired(f"{last // 2 + 12}h", "4h", "NightlyDidNotRun"),
    ]
    check(rules_of(FOLDER / "nightly.yaml"), recorded, expected, tmp_path, interval="30m", evaluation="30m")
