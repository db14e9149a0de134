"""The speech example's stages: what they return, export and survive. Runs on the real recordings."""

from __future__ import annotations

import os
import subprocess
import sys
from inspect import unwrap
from pathlib import Path

import cascade
import faults
import numpy as np
import pytest
from detector import FRAME, Audio
from prometheus_client import REGISTRY, generate_latest
from real_speech import every_recording
from recogniser import RATE
from recordings import Recording

EXAMPLE = Path(cascade.__file__).parent


@pytest.fixture
def every() -> tuple[Recording, ...]:
    return every_recording()


@pytest.fixture
def cards() -> Recording:
    return next(recording for recording in every_recording() if recording.name == "003")


@pytest.mark.parametrize(
    ("reference", "text", "rate"),
    [
        ("seven of clubs", "seven of clubs", 0.0),
        ("seven of clubs", "", 1.0),
        ("seven of clubs", "seven clubs", 1 / 3),
        ("seven of clubs", "eleven of clubs", 1 / 3),
        ("five five", "five five five five five", 1.5),
        ("he was not", "was not he", 2 / 3),
    ],
)
def test_word_error_rate_counts_edits_for_each_word_said(reference: str, text: str, rate: float) -> None:
    assert cascade.word_error_rate(reference, text) == pytest.approx(rate)


def test_importing_the_cascade_loads_neither_model() -> None:
    code = "import cascade, sys; print({'webrtcvad', 'pocketsphinx'} & set(sys.modules))"
    paths = os.pathsep.join([str(EXAMPLE), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "set()"


def test_a_clear_recording_is_understood(cards: Recording) -> None:
    said = cascade.answer(cards.samples, cards.transcript)
    assert said is not None
    assert said.text == "seven of clubs"
    assert said.word_error_rate == 0


def test_without_a_transcript_the_word_error_rate_is_unknown(cards: Recording) -> None:
    said = cascade.answer(cards.samples)
    assert said is not None
    assert said.word_error_rate is None


@pytest.mark.parametrize("level", [-96.0, -75.0, -50.0])
def test_a_line_on_which_nobody_speaks_has_no_segments_and_no_answer(cards: Recording, level: float) -> None:
    hiss = faults.silence(cards.samples, level)
    assert len(unwrap(cascade.find_speech)(hiss)) == 0
    assert cascade.answer(hiss) is None


@pytest.mark.parametrize("samples", [0, 1, FRAME - 1, FRAME])
def test_audio_too_short_for_speech_is_no_error(samples: int) -> None:
    assert cascade.answer(np.zeros(samples, np.int16)) is None


def test_segments_are_parts_of_the_recording_in_order(every: tuple[Recording, ...]) -> None:
    pause = np.zeros(2 * RATE, np.int16)
    audio = np.concatenate([every[0].samples, pause, every[1].samples])
    found = unwrap(cascade.find_speech)(audio)
    assert len(found) == 2
    assert sum(map(len, found.segments)) < len(audio) - RATE
    assert all(segment.base is not None for segment in found.segments)


def test_the_same_speech_gets_the_same_segments_whatever_came_before(every: tuple[Recording, ...]) -> None:
    find_speech = unwrap(cascade.find_speech)
    first = [find_speech(recording.samples).share for recording in every]
    again = [find_speech(recording.samples).share for recording in reversed(every)]
    assert first == again[::-1]


def test_the_high_band_is_a_share_of_all_energy_in_decibels() -> None:
    second = np.arange(RATE) / RATE

    def tone(hertz: float) -> Audio:
        return (10_000 * np.sin(2 * np.pi * hertz * second)).astype(np.int16)

    assert cascade.high_band_db(tone(1000)) == pytest.approx(-80, abs=20)
    assert cascade.high_band_db(tone(6000)) == pytest.approx(0, abs=0.01)
    both = (tone(1000) // 2 + tone(6000) // 2).astype(np.int16)
    assert cascade.high_band_db(both) == pytest.approx(-3.01, abs=0.05)
    assert cascade.high_band_db(np.zeros(1024, np.int16)) == -96
    assert cascade.high_band_db(np.zeros(100, np.int16)) is None


def test_a_call_exports_every_declared_feature(cards: Recording) -> None:
    cascade.answer(cards.samples, cards.transcript)
    exposed = generate_latest(REGISTRY).decode()
    for stage in cascade.speech.describe().stages:
        assert f'pipemon_stage_calls_total{{pipeline="speech",stage="{stage.name}"' in exposed
        for feature in stage.features:
            if feature.categories:
                assert f'category="app",direction="{feature.direction}",feature="{feature.name}"' in exposed
                continue
            place = f'pipeline="speech",stage="{stage.name}"'
            series = f'direction="{feature.direction}",feature="{feature.name}",le="+Inf",{place}'
            line = next(line for line in exposed.splitlines() if f"pipemon_feature_value_bucket{{{series}" in line)
            assert float(line.split()[-1]) > 0, f"{feature.name} was never observed"


def test_speech_lies_within_the_bounds_of_its_histograms(every: tuple[Recording, ...]) -> None:
    for recording in every:
        found = unwrap(cascade.find_speech)(recording.samples)
        said = unwrap(cascade.transcribe)(found, recording.transcript)
        values = {
            "audio_high_band_db": cascade.high_band_db(recording.samples),
            "words_per_second": said.words_per_second,
            "acoustic_score": said.acoustic_score,
            "language_score": said.language_score,
        }
        for stage in cascade.speech.describe().stages:
            for feature in stage.features:
                if (value := values.get(feature.name)) is not None:
                    assert feature.bounds[0] < value < feature.bounds[-1], (feature.name, value)
