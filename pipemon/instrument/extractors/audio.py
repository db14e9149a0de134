"""Features of audio.

All take an array of samples, with several channels as well; a list of samples; or bytes of 16-bit little-endian PCM.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pipemon.errors import DeclarationError
from pipemon.instrument.extractors.rows import Array, as_array, by_rows
from pipemon.instrument.features import Feature

FLOOR_DBFS = -96.0
"""The level of silence: about the quietest that 16 bits can tell."""
_FRAME = 0.02
"""Seconds of a frame: about a sound of speech."""


def audio_seconds(rate: float, name: str | None = None) -> Feature:
    """Length of audio in seconds: samples / `rate` (samples a second).

    Of an array with several channels, the longest axis is time; bytes are mono. Cost: constant.

    The real-time factor of a stage, seconds of processing for each second of audio, is the ratio of two sums that
    are exported already, so that it is right for any window and over all replicas. In PromQL, for an input `audio`:

        sum by (pipeline, stage) (rate(pipemon_stage_duration_seconds_sum[5m]))
          / sum by (pipeline, stage) (rate(pipemon_feature_value_sum{feature="audio_seconds"}[5m]))

    Raises DeclarationError unless the rate is above zero.
    """
    if not rate > 0:
        raise DeclarationError(f"audio_seconds(rate={rate!r}): the rate must be above zero")

    def extract(audio: Any) -> float:
        if isinstance(audio, bytes | bytearray | memoryview):
            return memoryview(audio).nbytes / 2 / rate
        shape = getattr(audio, "shape", None)
        return (max(shape, default=0) if shape is not None else len(audio)) / rate

    def many(batch: Any) -> Array:
        array = as_array(batch)
        if array is None or array.dtype.kind == "O":
            items = batch if array is None else array
            return np.array([math.nan if audio is None else extract(audio) for audio in items], dtype=float)
        return np.full(len(array), max(array.shape[1:], default=0) / rate)

    return Feature(name or "audio_seconds", extract, unit="seconds", prefix=name is None, many=many)


def level_dbfs(name: str | None = None, sample: float = 1.0) -> Feature:
    """Level of audio in decibels of full scale: 20 log10(rms / full scale), never below -96.

    Full scale is 1.0 for floats and the type's range for integers (unsigned ones are centred first), so
    a full-scale sine is at -3.01 and a full-scale square wave at 0. No samples: missing; digital silence is not, it
    is at -96. Cost: one pass over the samples in single precision.
    """
    return by_rows("level_dbfs", _level_dbfs, name=name, unit="dBFS", sample=sample, read=_samples)


def _level_dbfs(audio: Array) -> Array:
    flat = _full_scale(audio)
    power = np.array([np.dot(row, row) for row in flat], dtype=float) / flat.shape[1]
    levels: Array = np.maximum(10 * np.log10(power), FLOOR_DBFS)
    return levels


def snr_db(rate: float, name: str | None = None, sample: float = 1.0) -> Feature:
    """How far speech stands out of the noise, in decibels: an estimate that needs no clean reference.

    The level of the loud frames, the 95th percentile of frames of 20 ms, over that of the quiet ones, the 5th. It does
    not depend on the volume, falls where a room is noisy, and rises where a phone takes noise away. Frames of digital
    silence are left out: no room is that quiet. It is of recordings with pauses; where somebody speaks without any, the
    softest sounds stand for the noise. `rate` is in samples a second; several channels are taken as they lie. Less than
    a frame, or digital silence alone: missing. Cost: one pass over the samples in single precision.

    Raises DeclarationError unless the rate is at least 50.
    """
    if not rate >= 1 / _FRAME:
        raise DeclarationError(f"snr_db(rate={rate!r}): a frame of 20 ms has no sample; the rate must be at least 50")
    size = round(rate * _FRAME)

    def rows(audio: Array) -> Array:
        samples = _full_scale(audio)
        whole = samples.shape[1] // size * size
        frames = samples[:, :whole].reshape(len(samples), -1, size)
        power = np.einsum("nfs,nfs->nf", frames, frames, dtype=float) / size
        return np.array([_apart(row[row > 10 ** (FLOOR_DBFS / 10)]) for row in power])

    return by_rows("snr_db", rows, name=name, unit="dB", sample=sample, read=_samples)


def _apart(power: Array) -> float:
    if not len(power):
        return math.nan
    # As np.quantile has them, whose first call takes 14 ms to load what it needs.
    ranks = np.array((0.05, 0.95)) * (len(power) - 1)
    quiet, loud = np.interp(ranks, np.arange(len(power)), np.sort(power))
    return float(10 * np.log10(loud / quiet))


def _full_scale(audio: Array) -> Array:
    """Return samples in single precision, 1 at full scale, in a row an item."""
    full_scale, centre = 1.0, 0.0
    if audio.dtype.kind in "iu":
        full_scale = 2.0 ** (8 * audio.dtype.itemsize - 1)
        centre = full_scale if audio.dtype.kind == "u" else 0.0
    flat: Array = audio.reshape(len(audio), -1).astype(np.float32)
    flat -= np.float32(centre)
    flat /= np.float32(full_scale)
    return flat


def _samples(audio: Any) -> Array:
    return np.frombuffer(audio, dtype="<i2") if isinstance(audio, bytes | bytearray | memoryview) else np.asarray(audio)
