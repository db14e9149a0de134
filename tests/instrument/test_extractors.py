"""What the ready-made features of audio, texts and plain values mean, and what a Feature may be."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipemon import DeclarationError, Feature
from pipemon.features import audio_seconds, length, level_dbfs, snr_db, value, words

Samples = NDArray[np.floating[Any]]
SINE: Samples = np.sin(np.linspace(0, 200 * math.pi, 16_000, endpoint=False))


@pytest.mark.parametrize(
    ("audio", "seconds"),
    [
        (np.zeros(16_000), 1.0),
        (np.zeros((2, 8_000)), 0.5),
        (np.zeros((8_000, 2)), 0.5),
        ([0] * 4_000, 0.25),
        (b"\0" * 32_000, 1.0),
        (bytearray(16_000), 0.5),
        (memoryview(bytes(32_000)), 1.0),
        ([], 0.0),
        (np.zeros(0), 0.0),
    ],
)
def test_audio_seconds_are_samples_over_the_rate(audio: object, seconds: float) -> None:
    assert audio_seconds(rate=16_000).extractor(audio) == seconds


def test_audio_seconds_needs_a_rate_above_zero() -> None:
    with pytest.raises(DeclarationError, match="rate"):
        audio_seconds(rate=0)


@pytest.mark.parametrize(
    ("audio", "level"),
    [
        (SINE, -3.01),
        (SINE.astype(np.float32) / 10, -23.01),
        ((SINE * 32_767).astype(np.int16), -3.01),
        ((SINE * 2**31 * 0.999999).astype(np.int32), -3.01),
        ((SINE * 127 + 128).astype(np.uint8), -3.08),
        ((SINE * 32_767).astype("<i2").tobytes(), -3.01),
        (np.array([-32_768, -32_768], dtype=np.int16), 0.0),
        ([0.5, -0.5], -6.02),
        (np.zeros(10), -96.0),
        (np.full(10, 1e-9), -96.0),
        (np.stack([SINE, SINE]), -3.01),
    ],
)
def test_level_is_the_rms_in_decibels_of_full_scale(audio: object, level: float) -> None:
    assert level_dbfs().extractor(audio) == pytest.approx(level, abs=0.01)


@pytest.mark.parametrize("audio", [[], b"", np.array([np.nan, 1.0])])
def test_audio_without_a_level_is_missing(audio: object) -> None:
    assert math.isnan(level_dbfs().extractor(audio))  # type: ignore[arg-type]


@given(st.lists(st.integers(-32_768, 32_767), min_size=1, max_size=200), st.integers(1, 3))
def test_halving_the_samples_lowers_the_level_by_six_decibels(samples: list[int], halvings: int) -> None:
    audio = np.array(samples, dtype=float) / 32_768
    before, after = (level_dbfs().extractor(audio / 2**times) for times in (0, halvings))
    assert isinstance(before, float)
    assert after == pytest.approx(max(-96.0, before - 6.0206 * halvings) if before > -96 else -96.0, abs=0.01)


def spoken(noise_dbfs: float, level: float = 0.1) -> Samples:
    """A second of a tone, at -23 dBFS by default, and a second of a pause, both in white noise."""
    pause_or_tone = np.concatenate([level * SINE, np.zeros(16_000)])
    return pause_or_tone + np.random.default_rng(1).normal(scale=10 ** (noise_dbfs / 20), size=32_000)


@pytest.mark.parametrize(("noise", "stands_out"), [(-63, 40), (-43, 20), (-33, 10.4)])
def test_speech_stands_out_of_the_noise_by_the_ratio_of_both(noise: float, stands_out: float) -> None:
    # The quietest frames of a noise are a little under its mean.
    assert snr_db(16_000).extractor(spoken(noise)) == pytest.approx(stands_out, abs=1)


def test_volume_and_digital_silence_tell_nothing_of_the_noise() -> None:
    audio = spoken(-43)
    expected = snr_db(16_000).extractor(audio)
    assert snr_db(16_000).extractor(audio / 10) == pytest.approx(expected, abs=1e-4)
    assert snr_db(16_000).extractor(np.concatenate([audio, np.zeros(64_000)])) == pytest.approx(expected, abs=1e-4)
    in_16_bits = np.rint(audio * 32_767).astype("<i2")
    assert snr_db(16_000).extractor(in_16_bits.tobytes()) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("audio", [[], b"", np.ones(319), np.zeros(16_000)])
def test_less_than_a_frame_and_digital_silence_have_no_noise(audio: object) -> None:
    assert math.isnan(snr_db(16_000).extractor(audio))  # type: ignore[arg-type]


def test_a_frame_of_noise_has_a_sample_at_least() -> None:
    with pytest.raises(DeclarationError, match=r"snr_db\(rate=40\): .*at least 50"):
        snr_db(rate=40)


@dataclass
class Transcript:
    text: str | None


@pytest.mark.parametrize(
    ("text", "count"), [("", 0), ("hello", 1), (" hello \n big  world ", 3), (Transcript("hello world"), 2)]
)
def test_words_are_what_white_space_separates(text: object, count: int) -> None:
    assert words().extractor(text) == count


def test_a_transcript_without_text_is_missing() -> None:
    assert words().extractor(Transcript(None)) is None


def test_length_counts_items_under_the_given_name() -> None:
    assert length().extractor("abc") == 3
    assert (length().name, length().unit) == ("length", "items")
    assert (length("segments").name, length("segments").unit) == ("segments", "segments")


def test_value_is_the_number_itself() -> None:
    assert value("score", unit="ratio").extractor(0.25) == 0.25


@pytest.mark.parametrize("bounds", [[], [1, 1], [2, 1], [math.nan], [-math.inf, 1], ["x"], 3])
def test_bounds_must_be_finite_numbers_that_rise(bounds: list[float]) -> None:
    with pytest.raises(DeclarationError, match="feature 'a': bounds must"):
        Feature("a", len, bounds=bounds)


def test_a_last_bound_of_infinity_is_implied() -> None:
    assert Feature("a", len, bounds=[1, math.inf]).bounds == (1.0,)


def test_an_extractor_must_be_callable() -> None:
    with pytest.raises(DeclarationError, match="can't be called"):
        Feature("a", 3)  # type: ignore[arg-type]


def test_the_function_for_batches_must_be_callable_and_not_async() -> None:
    async def later(batch: object) -> None: ...

    with pytest.raises(DeclarationError, match="feature 'a': its many can't be called: 3"):
        Feature("a", len, many=3)  # type: ignore[arg-type]
    with pytest.raises(DeclarationError, match="feature 'a': its many must not be async"):
        Feature("a", len, many=later)


@pytest.mark.parametrize("sample", [0, -0.5, 1.01, math.nan, True, "0.1", None])
def test_a_sample_is_a_share_of_the_calls(sample: float) -> None:
    with pytest.raises(DeclarationError, match="feature 'a': sample is a share of calls, above 0 and at most 1"):
        Feature("a", len, sample=sample)


def test_a_call_is_always_looked_at_unless_a_sample_is_given() -> None:
    assert Feature("a", len).sample == 1.0
    assert level_dbfs(sample=0.01).sample == 0.01


def test_what_stands_for_a_call_in_the_wrapper_gives_what_the_call_gives() -> None:
    for feature, taken in [(length(), "abc"), (value(), 0.25)]:
        assert feature.inline is not None
        names = {"pm_len": len, "pm_float": float, "taken": taken}
        assert eval(feature.inline.format(value="taken"), names) == feature.extractor(taken)
