"""WebRTC's voice activity detector: where in a recording somebody speaks."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from recogniser import RATE

Audio = NDArray[np.int16]
"""Mono samples at 16 kHz."""

FRAME = RATE * 30 // 1000
"""30 ms, the longest frame that the detector takes."""

_HANGOVER = 8
"""Frames kept before and after speech, so that soft beginnings and endings are heard."""

LEAST = 8
"""Frames of speech in a segment that is kept: the detector takes the first frames of any noise for speech."""


@dataclass(frozen=True)
class Speech:
    """The parts of a recording that hold speech, the share of its frames that do (0 to 1), and when they were found."""

    segments: tuple[Audio, ...]
    share: float
    at: float | None = None

    def __len__(self) -> int:
        return len(self.segments)


def detected(audio: Audio, mode: int, least: int = LEAST) -> Speech:
    """Return what the detector finds in one of its modes, in segments of at least so many frames of speech."""
    import webrtcvad  # noqa: PLC0415 - only where calls are served

    is_speech = webrtcvad.Vad(mode).is_speech  # keeps a state: a new one for each recording
    flags = np.array(
        [is_speech(audio[i : i + FRAME].tobytes(), RATE) for i in range(0, len(audio) - FRAME + 1, FRAME)],
        dtype=bool,
    )
    if not len(flags):
        return Speech((), 0.0, time.time())
    kept = np.convolve(flags, np.ones(2 * _HANGOVER + 1), mode="same") > 0
    edges = np.flatnonzero(np.diff(kept, prepend=False, append=False))
    found = [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if flags[a:b].sum() >= least]
    return Speech(tuple(audio[a * FRAME : b * FRAME] for a, b in found), float(flags.mean()), time.time())
