"""What each fault does to real speech: to the sound, to the features that should tell it, and to those that should not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from inspect import unwrap
from statistics import fmean, pstdev

import cascade
import faults
import numpy as np
import pytest
import recordings
import traffic
from recordings import Recording

from pipemon.demo.programs import default_cache
from pipemon.features import level_dbfs

SECOND = np.arange(faults.RATE) / faults.RATE
Values = dict[str, list[float]]
Measured = Callable[..., Values]


def tone(hertz: float, amplitude: float = 8000) -> faults.Audio:
    return (amplitude * np.sin(2 * np.pi * hertz * SECOND)).astype(np.int16)


def rms(audio: faults.Audio) -> float:
    return float(np.sqrt(np.mean(audio.astype(float) ** 2)))


def features(recording: Recording, fault: str | None, strength: float | None) -> Iterator[tuple[str, float | None]]:
    audio = faults.applied(fault, strength, recording.samples)
    cascade.setup = traffic.set_up(fault, strength)
    found = unwrap(cascade.find_speech)(audio)
    yield "level_dbfs", float(level_dbfs().extractor(audio))  # type: ignore[arg-type]
    yield "high_band_db", cascade.high_band_db(audio)
    yield "speech_share", found.share
    yield "segments", len(found)
    if found.segments:
        said = unwrap(cascade.transcribe)(found, recording.transcript)
        yield "acoustic_score", said.acoustic_score
        yield "words", len(said.text.split())
        yield "word_error_rate", said.word_error_rate
        yield "seconds", said.seconds


@pytest.fixture(scope="module")
def measured() -> Iterator[Measured]:
    """Each feature's values over all recordings under a fault."""
    every = recordings.find(default_cache())
    if not every:
        pytest.skip("there are no recordings: `python examples/speech/recordings.py` fetches them")

    @cache
    def measure(fault: str | None = None, strength: float | None = None) -> Values:
        values: Values = {}
        for recording in every:
            for name, value in features(recording, fault, strength):
                if value is not None:
                    values.setdefault(name, []).append(value)
        return values

    yield measure
    cascade.setup = cascade.Setup()


def moved(measured: Measured, feature: str, fault: str, strength: float | None = None) -> float:
    """Return how far a fault moves a feature's mean, in standard deviations of the good values."""
    good, bad = measured()[feature], measured(fault, strength)[feature]
    return (fmean(bad) - fmean(good)) / pstdev(good)


def test_every_audio_fault_keeps_length_and_type_and_gives_the_same_every_time() -> None:
    audio = tone(440)
    for name, fault in faults.FAULTS.items():
        changed = faults.applied(name, None, audio)
        assert changed.dtype == np.int16
        assert changed.shape == audio.shape
        assert np.array_equal(changed, faults.applied(name, fault.strength, audio))
        assert np.array_equal(changed, audio) == (fault.where != "audio"), name


def test_noise_is_added_at_the_asked_ratio() -> None:
    audio = tone(440)
    added = faults.noise(audio, 10.0).astype(int) - audio
    assert 20 * np.log10(rms(audio) / rms(added.astype(np.int16))) == pytest.approx(10, abs=0.1)


def test_gain_is_in_decibels_and_loud_audio_is_cut_off() -> None:
    assert rms(faults.gain(tone(440), -20.0)) == pytest.approx(rms(tone(440)) / 10, rel=0.01)
    assert int(faults.gain(tone(440), 40.0).max()) == 32767


def test_clipping_cuts_off_the_asked_share() -> None:
    clipped = np.abs(faults.clipping(tone(440), 0.2).astype(int)) >= 32767
    assert float(clipped.mean()) == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize(("hertz", "kept"), [(100, False), (300, True), (1000, True), (3400, True), (5000, False)])
def test_the_telephone_band_is_300_to_3400_hertz(hertz: float, kept: bool) -> None:
    loss = 20 * np.log10(rms(tone(hertz)) / max(rms(faults.telephone_band(tone(hertz), 1.0)), 1.0))
    assert loss < 0.1 if kept else loss > 50


def test_a_telephone_band_takes_the_high_band_and_the_words_but_not_the_speech(measured: Measured) -> None:
    for strength in (0.9, 1.0):
        assert moved(measured, "high_band_db", "telephone_band", strength) < -5
        assert moved(measured, "acoustic_score", "telephone_band", strength) < -2
        assert abs(moved(measured, "speech_share", "telephone_band", strength)) < 0.4
        assert fmean(measured("telephone_band", strength)["word_error_rate"]) > 0.6
    assert fmean(measured()["word_error_rate"]) < 0.35


def test_noise_moves_the_detector_and_the_recogniser_but_not_the_high_band(measured: Measured) -> None:
    assert abs(moved(measured, "high_band_db", "noise")) < 1.5
    assert moved(measured, "acoustic_score", "noise") < -1.5
    assert fmean(measured("noise")["word_error_rate"]) > 2 * fmean(measured()["word_error_rate"])
    assert moved(measured, "speech_share", "noise", 20.0) < -0.5


def test_a_softer_microphone_moves_the_level_and_nothing_else(measured: Measured) -> None:
    assert fmean(measured("gain")["level_dbfs"]) == pytest.approx(fmean(measured()["level_dbfs"]) - 20, abs=0.1)
    for feature in ("high_band_db", "speech_share", "acoustic_score", "words"):
        assert abs(moved(measured, feature, "gain")) < 0.4, feature


def test_an_overdriven_microphone_costs_words(measured: Measured) -> None:
    assert moved(measured, "acoustic_score", "clipping") < -1.5
    assert fmean(measured("clipping")["word_error_rate"]) > 1.5 * fmean(measured()["word_error_rate"])


def test_a_dead_line_has_no_segments(measured: Measured) -> None:
    assert set(measured("silence")["segments"]) == {0}
    assert fmean(measured("silence")["level_dbfs"]) == pytest.approx(-75, abs=0.5)


def test_an_aggressive_detector_moves_its_output_while_its_input_stays(measured: Measured) -> None:
    assert fmean(measured("aggressive_vad")["speech_share"]) < fmean(measured()["speech_share"]) - 0.08
    for feature in ("level_dbfs", "high_band_db"):
        assert measured("aggressive_vad")[feature] == measured()[feature]


def test_a_busy_recogniser_makes_every_call_wait(measured: Measured) -> None:
    assert min(measured("slow", 0.2)["seconds"]) >= 0.2
    assert measured("slow", 0.2)["speech_share"] == measured()["speech_share"]
