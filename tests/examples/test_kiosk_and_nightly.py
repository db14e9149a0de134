"""The kiosk and the nightly job of the speech example: each of their faults, and the one alert that it sends."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import kiosk
import nightly
import numpy as np
import pytest
from detector import Audio
from phases import Phase, scraped, series
from processor_time import by_processor_time, sleeping_by
from real_speech import every_recording, heard_once
from rule_tests import check, fired, rules_of

pytestmark = pytest.mark.integration

FOLDER = Path(kiosk.__file__).parent


def test_each_fault_of_a_kiosk_sends_one_alert(tmp_path: Path) -> None:
    def shown(slower: float, audios: Iterator[Audio]) -> Phase:
        def call() -> None:
            kiosk.slower = slower
            list(kiosk.captions(next(audios)))

        return Phase(call, 60, 30)

    speech = itertools.cycle([recording.samples for recording in every_recording()])
    hiss = itertools.repeat(np.random.default_rng(1).normal(0, 5, 32_000).astype(np.int16))
    phases = [shown(0, speech), shown(3, speech), shown(0, speech), shown(0, hiss)]
    with by_processor_time(kiosk.captions) as clock, sleeping_by(clock, kiosk), heard_once():
        recorded = series("kiosk", phases, calls=16)
    kiosk.slower = 0.0
    expected = [
        fired("60m", "60m"),
        fired("120m", "50m", "KioskCaptionsBeginLate"),
        fired("180m", "20m"),
        fired("240m", "50m", "KioskMicrophoneCovered", "KioskCaptionsEmpty"),  # the effect is held back
    ]
    check(rules_of(FOLDER / "kiosk.yaml"), recorded, expected, tmp_path, interval="1m")


def test_each_fault_of_the_night_sends_one_alert(tmp_path: Path) -> None:
    """A gateway shows each run's counters until the next: a good one's, one's that leaves calls out, and no other."""
    every = [recording.samples for recording in every_recording()] * 2

    def counted(loses: float) -> dict[str, float]:
        before = scraped("nightly")
        with heard_once():
            nightly.night(every, loses)
        return {name: value - before.get(name, 0.0) for name, value in scraped("nightly").items()}

    good, left_out = counted(0.0), counted(0.25)
    day = 24 * 12
    recorded = {name: f"{good[name]}x{day - 1} {left_out.get(name, 0.0)}x{2 * day}" for name in good}
    success = 'pipemon_batch_last_success_timestamp_seconds{pipeline="nightly", job="nightly"}'
    recorded[success] = f"1x{day - 1} 86400x{2 * day}"
    expected = [
        fired("23h", "23h"),
        fired("48h", "23h", "NightlyCallsLeftOut"),
        fired("60h", "4h", "NightlyCallsLeftOut", "NightlyDidNotRun"),
    ]
    check(rules_of(FOLDER / "nightly.yaml"), recorded, expected, tmp_path, interval="5m", evaluation="30m")
