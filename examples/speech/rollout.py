"""A roll-out of the detector: a canary serves some of the calls, the version after it runs in shadow, and people look.

The detectors and what they find are real. The people are played: they know the true words, where the recordings do.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import cascade
from cascade import CALLED, FOUND, Transcript, speech
from detector import LEAST, Audio, Speech, detected

import pipemon

CANARY, SHARE = "1.1.0", 0.2
"""Its version, and the share of the calls that it gets."""
SHADOW = "2.0.0"
BAD = 0.5
"""Word error rate above which a transcript is wrong."""
REVIEW_SECONDS = 20.0
"""Median of the time that a transcript waits for a person."""


@dataclass(frozen=True)
class Plan:
    """How the roll-out is set up: the detectors' modes and the frames of speech that they ask for, and the people.

    They look where the confidence is under `unsure`, but for the share `never` of those transcripts. Where it is all
    `mixed_up`, they see each transcript beside the words of the call before.
    """

    canary_mode: int = 2
    canary_least: int = LEAST
    shadow_mode: int = 3
    shadow_least: int = LEAST
    unsure: float = 0.6
    never: float = 0.05
    mixed_up: bool = False


FAULTS = {
    "cuts_more": Plan(canary_mode=3),
    "finds_nothing": Plan(canary_least=60),
    "shadow_differs": Plan(shadow_least=60),
    "unsure": Plan(unsure=0.97),
    "nobody_looks": Plan(never=1.0),
    "mixed_up": Plan(mixed_up=True),
}
"""What goes wrong with a roll-out, by how it is set up."""

Answer = Callable[[Audio, str | None, str], Transcript | None]


def begin(plan: Plan) -> Answer:
    """Declare the two versions beside the one that serves, and return how calls are answered meanwhile."""

    def another(version: str, track: str, mode: int, least: int) -> Callable[..., Speech]:
        @speech.stage(
            "vad", version=version, track=track, inputs=CALLED, output=FOUND, null=lambda found: not found.segments
        )
        def find_speech(audio: Audio, client: str = "app") -> Speech:
            return detected(audio, mode, least)

        return find_speech

    canary = another(CANARY, "canary", plan.canary_mode, plan.canary_least)
    shadow = another(SHADOW, "shadow", plan.shadow_mode, plan.shadow_least)
    speech.traffic("vad", CANARY, SHARE)
    speech.traffic("vad", speech.version, 1 - SHARE)
    before = ""
    draw = random.Random(1)

    @speech.run
    def answer(audio: Audio, reference: str | None = None, client: str = "app") -> Transcript | None:
        nonlocal before
        by_canary = draw.random() < SHARE
        found = (canary if by_canary else cascade.find_speech)(audio, client)
        said = cascade.transcribe(found, reference) if found.segments else None
        run = pipemon.current_run()
        token = run.token if run else ""
        if not by_canary:
            speech.compared("vad", SHADOW, len(shadow(audio)) == len(found), run=token)
        shown, before = before if plan.mixed_up and reference else reference, reference or before
        if said:
            _looked_at(said, shown, token, draw, plan)
        return said

    return answer


def _looked_at(said: Transcript, words: str | None, token: str, draw: random.Random, plan: Plan) -> None:
    """Let the recogniser decide where it is sure, and a person, who is shown `words`, where it is not."""
    sure = said.confidence
    right = cascade.word_error_rate(words, said.text) <= BAD if words else None
    if right is not None:
        speech.calibration("asr", sure, right)
    if sure >= plan.unsure:
        speech.decided("asr", by="model", run=token)
        return
    speech.label_expected("asr", run=token)
    if draw.random() >= plan.never:
        waited = draw.lognormvariate(math.log(REVIEW_SECONDS), 0.5)
        speech.decided("asr", by="human", agreed=right, waited=waited, run=token)
