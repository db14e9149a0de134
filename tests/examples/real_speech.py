"""The real recordings and what was measured of them, once for all tests of a process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import margins
import numpy as np
import pytest
import recogniser
import recordings
from margins import Call
from numpy.typing import NDArray
from recordings import Recording

from pipemon.demo.programs import default_cache


@cache
def every_recording() -> tuple[Recording, ...]:
    """Return the recordings; skips the test where there are none."""
    found = recordings.find(default_cache())
    if not found:
        pytest.skip("there are no recordings: `python examples/speech/recordings.py` fetches them")
    return tuple(found)


@cache
def calls(fault: str | None = None, strength: float | None = None) -> dict[str, Call]:
    """Return the features of a call with each recording, by its name, under a fault."""
    with heard_once():
        return {recording.name: margins.measure(recording, fault, strength) for recording in every_recording()}


_HEARD: dict[bytes, recogniser.Heard] = {}


@contextmanager
def heard_once() -> Iterator[None]:
    """Decode each audio once in a process: the recogniser says the same of it every time."""
    decode = recogniser.decode

    def once(audio: NDArray[np.int16]) -> recogniser.Heard:
        key = audio.tobytes()
        if key not in _HEARD:
            _HEARD[key] = decode(audio)
        return _HEARD[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recogniser, "decode", once)
        yield
