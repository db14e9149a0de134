"""pocketsphinx in a process of its own.

Its C code holds the interpreter's lock for as long as it decodes. In the process that serves calls nothing
else could run meanwhile, and Prometheus would wait for its metrics.
"""

from __future__ import annotations

import math
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context, parent_process
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pocketsphinx import Decoder

RATE = 16_000

# A third of the time that the default search takes, for nearly the same word error rate on clean speech.
_SEARCH = {"fwdflat": False, "bestpath": False, "ds": 2, "topn": 2, "maxhmmpf": 1500, "maxwpf": 10, "pl_window": 5}

_starting = threading.Lock()


@dataclass(frozen=True)
class Heard:
    """What was understood, with the mean scores of a frame and of a word; None without a word."""

    text: str
    acoustic_score: float | None
    language_score: float | None


remembered: dict[bytes, Heard] | None = None
"""What was heard, by the audio, for those who need many calls but not their durations; None: each is decoded."""


def decode(audio: NDArray[np.int16]) -> Heard:
    """Return what is said in `audio` (mono, 16 kHz). One call at a time; the first one loads the model."""
    key = audio.tobytes()
    if remembered is not None and key in remembered:
        return remembered[key]
    with _starting:
        process = _process()
    heard = process.submit(_decode, audio).result()
    if remembered is not None:
        remembered[key] = heard
    return heard


@cache
def _process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_begin)


def _begin() -> None:
    """End when the parent ends, and not before: it is the one who is told to stop."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if parent := parent_process():
        parent.join()
        os._exit(1)


@cache
def _decoder() -> Decoder:
    from pocketsphinx import Decoder  # noqa: PLC0415 - only where it decodes; the model takes half a second to load

    return Decoder(samprate=RATE, loglevel="FATAL", **_SEARCH)


def _decode(audio: NDArray[np.int16]) -> Heard:
    decoder = _decoder()
    decoder.start_utt()
    decoder.process_raw(audio.tobytes(), full_utt=True)
    decoder.end_utt()
    # Scores come as probabilities of a 1024th of their logarithm.
    parts = [part for part in decoder.seg() if not part.word.startswith(("<", "["))] if decoder.hyp() else []
    if not parts:
        return Heard("", None, None)
    frames = sum(part.end_frame - part.start_frame + 1 for part in parts)
    acoustic = 1024 * sum(math.log(part.ascore) for part in parts) / frames
    language = 1024 * sum(math.log(part.lscore) for part in parts) / len(parts)
    return Heard(decoder.hyp().hypstr, acoustic, language)
