"""A speech cascade of two stages: WebRTC's voice activity detector feeds pocketsphinx's recogniser.

Importing it loads neither: `pipemon generate` imports it only for its stages, features and budgets.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import recogniser
from detector import LEAST, Audio, Speech, detected
from recogniser import RATE

import pipemon
from pipemon.features import Category, Feature, audio_seconds, length, level_dbfs, snr_db, words


@dataclass(frozen=True)
class Setup:
    """What a roll-out or a rush may change: the detector's mode (0 keeps most, 3 cuts most), and what takes time.

    `wait` and `queue` are in seconds: how long the recogniser itself is held up by others, and how long what the
    detector found lies in the queue before it. `passes` is how often the detector does its work; `leak` is what the
    service keeps of each call for ever, in megabytes. `least` is how many frames of speech the detector asks for, and
    `longest` how many seconds of it the recogniser has memory for; `lengthless` forgets how many there were.
    """

    vad_mode: int = 1
    least: int = LEAST
    wait: float = 0.0
    queue: float = 0.0
    passes: int = 1
    leak: float = 0.0
    longest: float = math.inf
    lengthless: float = 0.0


setup = Setup()
leaked: list[bytes] = []
"""What a service that leaks has kept."""


@dataclass(frozen=True)
class Transcript:
    """What was understood.

    `acoustic_score` and `language_score` are mean log likelihoods: of a frame against the best sound at
    that moment, and of a word after the ones before it; None without a word. `audio_seconds` and
    `seconds` are the length of the speech and the time taken. `word_error_rate` is known only where
    somebody wrote down what was really said.
    """

    text: str
    audio_seconds: float
    seconds: float
    acoustic_score: float | None = None
    language_score: float | None = None
    word_error_rate: float | None = None

    @property
    def words_per_second(self) -> float:
        """Words for each second of speech."""
        return len(self.text.split()) / self.audio_seconds

    @property
    def confidence(self) -> float:
        """How sure the recogniser is, 0 to 1: its acoustic score, put on that scale by eye."""
        return 1 / (1 + math.exp(-4 * (self.acoustic_score + 4.5))) if self.acoustic_score is not None else 0.0


def high_band_db(audio: Audio) -> float | None:
    """Return the energy above 3.6 kHz over all energy, in decibels: a telephone line, which ends at 3.4, has none.

    None for less than a frame of 512 samples; -96 dB at least, which is also digital silence's.
    """
    frames = audio[: len(audio) // 512 * 512].reshape(-1, 512)
    if not len(frames):
        return None
    power = (np.abs(np.fft.rfft(frames * np.hanning(512))) ** 2).sum(axis=0)
    above = float(power[int(3600 * 512 / RATE) + 1 :].sum())
    return 10 * math.log10(max(above / float(power.sum()), 10**-9.6)) if above else -96.0


def word_error_rate(reference: str, text: str) -> float:
    """Return the word edits (insert, delete, replace) from `reference` to `text`, over its words.

    0 is perfect; above 1 where more was heard than said. `reference` must have a word.
    """
    said, heard = reference.split(), text.split()
    row = list(range(len(heard) + 1))
    for i, word in enumerate(said, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (word != other))
    return row[-1] / len(said)


BASELINE = Path(__file__).with_name("speech.baseline.json")
"""What good calls are like: `python traffic.py --learn 400` writes it. `pipemon demo` begins without one."""

# Bounds of the features' histograms, for real speech: fine where it lies, coarse around it. Others have the baseline's.
_LEVEL = (-90, -70, -60, -50, -40, -35, -32.5, -30, -27.5, -25, -22.5, -20, -17.5, -15, -12.5, -10, -7.5, -5, 0)
_HIGH_BAND = (-90, -80, -70, -60, -50, -45, -40, -35, -30, -25, -22.5, -20, -17.5, -15, -12.5, -10, -7.5, -5, -2.5, 0)
_RATES = (0, 0.5, 1, 1.5, 1.75, 2, 2.25, 2.5, 2.75, 3, 3.5, 4, 5, 6, 8, 10)
_ACOUSTIC = (-12, -10, -8, -7, -6, -5.5, -5, -4.75, -4.5, -4.25, -4, -3.75, -3.5, -3.25, -3, -2.5, -2, -1, 0)
_LANGUAGE = (-100, -80, -70, -65, -60, -55, -50, -47.5, -45, -42.5, -40, -37.5, -35, -32.5, -30, -25, -20, -10, 0)
_REAL_TIME = (0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 5, 10)
_CONFIDENCE = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)
_ERRORS = (0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.25, 1.5, 2)

speech = pipemon.Pipeline(
    "speech",
    version="1.0.0",
    budget="1800ms",
    baseline=BASELINE if BASELINE.is_file() else None,
    slices={"age": ["child", "adult"]},
)


HEARD = [
    audio_seconds(rate=RATE),
    replace(level_dbfs(), bounds=_LEVEL),
    snr_db(rate=RATE),
    Feature("high_band_db", high_band_db, unit="dB", bounds=_HIGH_BAND, prefix=True),
]
CALLED: dict[str, Any] = {
    "audio": HEARD,
    "client": Category("client", lambda client: client, categories=("app", "web")),
}
FOUND = [length("segments"), Feature("speech_share", lambda found: found.share, unit="ratio")]
"""What is measured of the detector's inputs, a call and what it was made with, and of its output, in any version."""


@speech.stage(
    "vad",
    inputs=CALLED,
    output=FOUND,
    null=lambda found: not found.segments,
    candidates=["2.0.0"],
    budget="100ms",
)
def find_speech(audio: Audio, client: str = "app") -> Speech:
    """Return the segments of `audio`, which came from `client`, in which somebody speaks."""
    for _ in range(setup.passes - 1):
        detected(audio, setup.vad_mode, setup.least)
    return detected(audio, setup.vad_mode, setup.least)


@speech.stage(
    "asr",
    after="vad",
    output=[
        words(),
        Feature("words_per_second", lambda said: said.words_per_second, unit="words/s", bounds=_RATES),
        Feature("acoustic_score", lambda said: said.acoustic_score, unit="nats", bounds=_ACOUSTIC),
        Feature("language_score", lambda said: said.language_score, unit="nats", bounds=_LANGUAGE),
        Feature("real_time_factor", lambda said: said.seconds / said.audio_seconds, unit="ratio", bounds=_REAL_TIME),
        Feature("confidence", lambda said: said.confidence, unit="ratio", bounds=_CONFIDENCE),
        Feature("word_error_rate", lambda said: said.word_error_rate, unit="ratio", bounds=_ERRORS),
    ],
    null=lambda said: not said.text,
    scores=["wer"],
    labels=True,
    decisions=True,
    queued_at={"found": lambda found: found.at},
    workers=1,
    budget="1500ms",
)
def transcribe(found: Speech, reference: str | None = None) -> Transcript:
    """Return what is said in the segments; scored against `reference`, the true words, where it is given."""
    began = time.perf_counter()
    if setup.leak:
        leaked.append(b"\1" * int(setup.leak * 1e6))
    if setup.wait:
        time.sleep(setup.wait)
    audio = np.concatenate(found.segments)
    if len(audio) / RATE > setup.longest:
        raise MemoryError(f"no memory for {len(audio) / RATE:.1f} seconds of speech")
    heard = recogniser.decode(audio)
    return Transcript(
        heard.text,
        0.0 if setup.lengthless else len(audio) / RATE,
        time.perf_counter() - began,
        heard.acoustic_score,
        heard.language_score,
        word_error_rate(reference, heard.text) if reference else None,
    )


@speech.run
def answer(audio: Audio, reference: str | None = None, client: str = "app") -> Transcript | None:
    """Return what is said in `audio`, or None if nobody speaks."""
    found = find_speech(audio, client)
    if setup.queue:
        time.sleep(setup.queue)
    return transcribe(found, reference) if found.segments else None
