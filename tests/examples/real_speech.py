"""The real recordings and what was measured of them, once for all tests of a process."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from threading import get_ident

import margins
import numpy as np
import pytest
import recogniser
import recordings
from faults import FAULTS
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


def heard_in_order(fault: str | None, strength: float | None) -> None:
    """Let the recogniser hear all recordings one by one, in their order, if the fault is one of audio.

    Its quick search begins where the last audio ended, so a few words hang on what came before. What only one test
    plays, at a strength of its own, always comes in the same order.
    """
    if strength is None and (fault is None or FAULTS[fault].where == "audio"):
        calls(fault)


@contextmanager
def heard_once() -> Iterator[None]:
    """Decode each audio once for all tests of all processes: the cache keeps what this recogniser heard."""
    decode = recogniser.decode
    made_of = Path(recogniser.__file__).read_bytes() + version("pocketsphinx").encode()
    folder = default_cache() / "heard"
    folder.mkdir(parents=True, exist_ok=True)

    def once(audio: NDArray[np.int16]) -> recogniser.Heard:
        path = folder / f"{sha256(made_of + audio.tobytes()).hexdigest()[:32]}.json"
        if not path.exists():
            draft = path.with_suffix(f".{os.getpid()}-{get_ident()}")
            draft.write_text(json.dumps(asdict(decode(audio))))
            draft.replace(path)
        return recogniser.Heard(**json.loads(path.read_text()))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recogniser, "decode", once)
        yield
