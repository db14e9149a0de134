"""Feature, and the first ready-made ones.

A ready-made one is a function that returns a Feature. As an input it is exported as
`<parameter>_<name>`, as an output under its own name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipemon.errors import DeclarationError
from pipemon.instrument.bounds import checked
from pipemon.instrument.names import check_name, check_text
from pipemon.instrument.wrapping import is_async

FLOOR_DBFS = -96.0
"""The level of silence: about the quietest that 16 bits can tell."""


@dataclass(frozen=True)
class Feature:
    """A named number taken from a stage's input or output.

    `extractor` gets the value and returns a number; None, NaN, infinity and whatever is no number count as
    missing. It runs after the stage's clock has stopped, but the caller waits for it; if it raises, that is
    counted and the pipeline goes on. `bounds` are the histogram's upper bounds; by default they come from the
    baseline, else from `unit`: seconds, ratio (0 to 1), dB, dBFS and bytes have their own, "" has a wide
    range of both signs, and any other unit is taken as a count of such things. With `prefix` an input is
    exported as `<parameter>_<name>`.

    Raises DeclarationError for a bad name, bounds that do not rise, or an extractor that can't be called or
    is async.
    """

    name: str
    extractor: Callable[[Any], object]
    unit: str = ""
    bounds: Sequence[float] | None = None
    prefix: bool = False

    def __post_init__(self) -> None:
        check_name("feature", self.name)
        if not callable(self.extractor):
            raise DeclarationError(f"feature {self.name!r}: its extractor can't be called: {self.extractor!r}")
        if is_async(self.extractor):
            raise DeclarationError(f"feature {self.name!r}: its extractor must not be async")
        check_text(f"feature {self.name!r}: unit", self.unit)
        if self.bounds is not None:
            try:
                object.__setattr__(self, "bounds", checked(self.bounds))
            except DeclarationError as error:
                raise DeclarationError(f"feature {self.name!r}: {error}") from None


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


def length(name: str | None = None) -> Feature:
    """How many items there are: `len(...)`. The unit is `items`, or `name` if given. Cost: constant."""
    return Feature(name or "length", _length, unit=name or "items", prefix=name is None)


def words() -> Feature:
    """Words of a text, as separated by white space, in `words`.

    Takes a string, or an object whose attribute `text` is one. Cost: one pass over the text.
    """
    return Feature("words", _words, unit="words", prefix=True)


def value(name: str | None = None, unit: str = "", bounds: Sequence[float] | None = None) -> Feature:
    """The number itself, in `unit`. Cost: constant."""
    return Feature(name or "value", _itself, unit=unit, bounds=bounds, prefix=name is None)


def mean(name: str | None = None, unit: str = "", bounds: Sequence[float] | None = None) -> Feature:
    """Mean of the finite numbers of an array or list, in `unit`; none: missing. Cost: one pass."""
    return Feature(name or "mean", _mean, unit=unit, bounds=bounds, prefix=name is None)


def share_missing() -> Feature:
    """Share of an array's or list's entries that are None or NaN, 0 to 1; no entries: missing. Cost: one pass."""
    return Feature("share_missing", _share_missing, unit="ratio", prefix=True)


READY_MADE = (audio_seconds, level_dbfs, length, words, value, mean, share_missing)


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


def _length(items: Any) -> float:
    return float(len(items))


def _words(text: Any) -> float | None:
    if not isinstance(text, str):
        text = text.text
    return None if text is None else float(len(text.split()))


def _itself(number: Any) -> object:
    return number


def _mean(numbers: Any) -> float | None:
    array = np.asarray(numbers, dtype=float)
    finite = array[np.isfinite(array)]
    return float(finite.mean()) if finite.size else None


def _share_missing(numbers: Any) -> float | None:
    array = np.asarray(numbers, dtype=float)
    return float(np.isnan(array).mean()) if array.size else None
