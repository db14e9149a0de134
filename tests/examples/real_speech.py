"""The real recordings and what was measured of them, once for all tests of a process."""

from __future__ import annotations

from functools import cache

import margins
import pytest
import recordings
from margins import Call
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
    return {recording.name: margins.measure(recording, fault, strength) for recording in every_recording()}
