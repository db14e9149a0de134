"""Features of audio."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipemon.errors import DeclarationError
from pipemon.instrument.features import Feature

FLOOR_DBFS = -96.0
"""The level of silence: about the quietest that 16 bits can tell."""


def audio_seconds(rate: float) -> Feature:
    """Length of audio in seconds: samples / `rate` (samples a second).

    Takes an array of samples (with several channels, the longest axis is time), a list of samples, or
    bytes of 16-bit mono PCM. Cost: constant.
    """
    if not rate > 0:
        raise DeclarationError(f"audio_seconds(rate={rate!r}): the rate must be above zero")

    def extract(audio: Any) -> float:
        if isinstance(audio, bytes | bytearray | memoryview):
            return memoryview(audio).nbytes / 2 / rate
        shape = getattr(audio, "shape", None)
        return (max(shape, default=0) if shape is not None else len(audio)) / rate

    return Feature("audio_seconds", extract, unit="seconds", prefix=True)


def level_dbfs() -> Feature:
    """Level of audio in decibels of full scale: 20 log10(rms / full scale), never below -96.

    Full scale is 1.0 for floats and the type's range for integers (unsigned ones are centred first), so
    a full-scale sine is at -3.01 and a full-scale square wave at 0. Bytes are 16-bit little-endian PCM.
    No samples: missing. Cost: one pass over the samples in single precision.
    """
    return Feature("level_dbfs", _level_dbfs, unit="dBFS", prefix=True)


def _level_dbfs(audio: Any) -> float | None:
    raw = isinstance(audio, bytes | bytearray | memoryview)
    samples: NDArray[Any] = np.frombuffer(audio, dtype="<i2") if raw else np.asarray(audio)
    if samples.size == 0:
        return None
    full_scale, centre = 1.0, 0.0
    if samples.dtype.kind in "iu":
        full_scale = 2.0 ** (8 * samples.dtype.itemsize - 1)
        centre = full_scale if samples.dtype.kind == "u" else 0.0
    flat = (samples.ravel().astype(np.float32) - np.float32(centre)) / np.float32(full_scale)
    power = float(np.dot(flat, flat)) / flat.size
    return max(FLOOR_DBFS, 10 * math.log10(power)) if power > 0 else FLOOR_DBFS if power == 0 else None
