"""What each fault does to real speech: it moves the features that should tell it, and no others."""

from __future__ import annotations

from statistics import fmean

import faults
import margins
import numpy as np
import pytest
from real_speech import calls, every_recording

SECOND = np.arange(faults.RATE) / faults.RATE


def tone(hertz: float, amplitude: float = 8000) -> faults.Audio:
    return (amplitude * np.sin(2 * np.pi * hertz * SECOND)).astype(np.int16)


def rms(audio: faults.Audio) -> float:
    return float(np.sqrt(np.mean(audio.astype(float) ** 2)))


def mean(feature: str, fault: str | None = None, strength: float | None = None) -> float:
    return fmean(margins.values(calls(fault, strength).values(), feature))


def moved(feature: str, fault: str, strength: float | None = None) -> float:
    """Return how far a fault moves a feature's mean, in standard deviations of the good values."""
    return margins.moved(list(calls().values()), list(calls(fault, strength).values()), feature)


def test_every_audio_fault_gives_the_same_every_time_and_all_but_two_keep_the_length() -> None:
    audio = np.concatenate([tone(440), tone(440, 20), tone(660, 4000)])
    for name, fault in faults.FAULTS.items():
        changed = faults.applied(name, None, audio)
        assert changed.dtype == np.int16
        longer = {"open_microphone": 6 * 16_000, "fast_talkers": len(changed) - len(audio)}
        assert len(changed) == len(audio) + longer.get(name, 0)
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


def test_a_telephone_band_takes_the_high_band_and_the_words_but_not_the_speech() -> None:
    assert moved("audio_high_band_db", "telephone_band", 0.9) < -5
    assert moved("acoustic_score", "telephone_band", 0.9) < -2
    assert abs(moved("speech_share", "telephone_band", 0.9)) < 0.4
    assert mean("word_error_rate", "telephone_band", 0.9) > 0.6
    assert mean("word_error_rate") < 0.35


def test_noise_moves_the_detector_and_the_recogniser_and_of_the_input_what_stands_out_of_it() -> None:
    assert abs(moved("audio_high_band_db", "noise")) < 1.5
    assert moved("audio_snr_db", "noise", 20.0) < -1
    assert moved("audio_snr_db", "noise") < -2
    assert abs(moved("audio_level_dbfs", "noise", 20.0)) < 0.1
    assert moved("acoustic_score", "noise") < -1.5
    assert mean("word_error_rate", "noise") > 2 * mean("word_error_rate")
    assert moved("speech_share", "noise", 20.0) < -0.5


def test_a_softer_microphone_moves_the_level_and_nothing_else() -> None:
    assert mean("audio_level_dbfs", "gain") == pytest.approx(mean("audio_level_dbfs") - 20, abs=0.1)
    for feature in ("audio_snr_db", "audio_high_band_db", "speech_share", "acoustic_score", "words"):
        assert abs(moved(feature, "gain")) < 0.4, feature


def test_an_overdriven_microphone_costs_words() -> None:
    assert moved("acoustic_score", "clipping") < -1.5
    assert mean("word_error_rate", "clipping") > 1.5 * mean("word_error_rate")


def test_new_words_move_what_is_heard_and_nothing_of_the_input_or_the_detector() -> None:
    assert moved("language_score", "new_words") < -1
    for feature in ("audio_level_dbfs", "audio_snr_db", "audio_high_band_db", "speech_share"):
        assert abs(moved(feature, "new_words")) < 0.1, feature
    assert mean("word_error_rate", "new_words") >= 1


def test_a_phone_that_takes_noise_away_moves_what_stands_out_of_it_and_nothing_else() -> None:
    assert moved("audio_snr_db", "better_phones") > 0.5
    for feature in ("audio_level_dbfs", "audio_high_band_db", "speech_share", "acoustic_score", "language_score"):
        assert abs(moved(feature, "better_phones")) < 0.2, feature


def test_higher_voices_cost_words_and_not_the_level() -> None:
    assert mean("word_error_rate", "children") > 1.5 * mean("word_error_rate")
    assert abs(moved("audio_level_dbfs", "children")) < 0.5


def test_whoever_speaks_faster_or_slower_takes_as_much_less_or_more_time_in_the_same_voice() -> None:
    for times in (0.8, 1.4):
        spoken = faults.at_pace(tone(440), times)
        assert len(spoken) == pytest.approx(len(SECOND) / times, rel=0.12)
        highest = int(np.argmax(np.abs(np.fft.rfft(spoken))))
        assert highest * faults.RATE / len(spoken) == pytest.approx(440, abs=2)
    assert mean("words_per_second", "fast_talkers") > 1.2 * mean("words_per_second")
    assert abs(moved("audio_snr_db", "fast_talkers")) < 0.2


def test_an_open_microphone_leaves_less_of_the_audio_to_be_speech() -> None:
    assert moved("speech_share", "open_microphone") < -3


def test_a_dead_line_has_no_segments() -> None:
    assert mean("segments", "silence") == 0
    assert mean("audio_level_dbfs", "silence") == pytest.approx(-75, abs=0.5)


def test_an_aggressive_detector_moves_its_output_while_its_input_stays() -> None:
    assert mean("speech_share", "aggressive_vad") < mean("speech_share") - 0.07
    for feature in ("audio_level_dbfs", "audio_snr_db", "audio_high_band_db"):
        assert mean(feature, "aggressive_vad") == mean(feature)


def test_a_busy_recogniser_makes_a_call_wait_and_changes_no_word() -> None:
    clear = next(recording for recording in every_recording() if recording.name == "003")
    slow = margins.measure(clear, "slow", 0.3)
    assert slow["seconds"] is not None
    assert slow["seconds"] >= 0.3
    assert slow["word_error_rate"] == margins.measure(clear)["word_error_rate"] == 0
