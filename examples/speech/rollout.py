"""A roll-out of the detector: a canary serves some of the calls, the version after it runs in shadow, and people look.

The detectors and what they find are real. The people are played: they know the true words, where the recordings do.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import cascade
from cascade import CALLED, FOUND, Transcript, speech
from detector import Audio, Speech, detected

import pipemon

CANARY, CANARY_MODE, SHARE = "1.1.0", 2, 0.2
"""Its version, its mode, and the share of the calls that it gets. In mode 3 it cuts more than it should."""
SHADOW, SHADOW_MODE = "2.0.0", 3
UNSURE = 0.6
"""Confidence under which a person looks at the transcript."""
BAD = 0.5
"""Word error rate above which a transcript is wrong."""
REVIEW_SECONDS = 20.0
"""Median of the time that a transcript waits for a person."""
NEVER = 0.05
"""Share of the transcripts at which nobody looks although they were sent to be; 1 where the reviewers are gone."""

Answer = Callable[[Audio, str | None, str], Transcript | None]


def begin(canary_mode: int = CANARY_MODE, never: float = NEVER) -> Answer:
    """Declare the two versions beside the one that serves, and return how calls are answered meanwhile."""

    def another(version: str, track: str, mode: int) -> Callable[..., Speech]:
        @speech.stage(
            "vad", version=version, track=track, inputs=CALLED, output=FOUND, null=lambda found: not found.segments
        )
        def find_speech(audio: Audio, client: str = "app") -> Speech:
            return detected(audio, mode)

        return find_speech

    canary, shadow = another(CANARY, "canary", canary_mode), another(SHADOW, "shadow", SHADOW_MODE)
    speech.traffic("vad", CANARY, SHARE)
    speech.traffic("vad", speech.version, 1 - SHARE)
    draw = random.Random(1)

    @speech.run
    def answer(audio: Audio, reference: str | None = None, client: str = "app") -> Transcript | None:
        found = (canary if draw.random() < SHARE else cascade.find_speech)(audio, client)
        said = cascade.transcribe(found, reference) if found.segments else None
        run = pipemon.current_run()
        token = run.token if run else ""
        speech.compared("vad", SHADOW, len(shadow(audio)) == len(found), run=token)
        if said:
            _looked_at(said, token, draw, never)
        return said

    return answer


def _looked_at(said: Transcript, token: str, draw: random.Random, never: float) -> None:
    """Let the recogniser decide where it is sure, and a person where it is not."""
    sure, error = said.confidence, said.word_error_rate
    right = None if error is None else error <= BAD
    if right is not None:
        speech.calibration("asr", sure, right)
    if sure >= UNSURE:
        speech.decided("asr", by="model", run=token)
        return
    speech.label_expected("asr", run=token)
    if draw.random() >= never:
        waited = draw.lognormvariate(math.log(REVIEW_SECONDS), 0.5)
        speech.decided("asr", by="human", agreed=right, waited=waited, run=token)
