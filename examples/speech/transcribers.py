"""People who write down what was said, after the call: the labels that the recogniser is judged and taught by.

The people are played: they know the true words, where the recordings do. What comes days later in a real service comes
at once here, so that nobody waits.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import cascade
from cascade import Transcript, speech
from detector import Audio

import pipemon

BAD = 0.5
"""Word error rate above which a transcript is wrong."""
CARELESS = 0.02
"""Share of the transcripts that two people write down differently."""
MISREAD = 0.02
"""Share of the transcripts that people call wrong although they are right."""

Answer = Callable[[Audio, str | None, str], Transcript | None]


def begin(careless: dict[str, float] | None = None, misread: float = MISREAD) -> Answer:
    """Return how calls are answered while people write down what was said.

    `careless` is the share of different labels by the caller's age, where it is not CARELESS.
    """
    draw = random.Random(1)

    @speech.run
    def answer(audio: Audio, reference: str | None = None, client: str = "app") -> Transcript | None:
        said = cascade.answer(audio, reference, client)
        run = pipemon.current_run()
        if said and run and said.word_error_rate is not None:
            speech.label_expected("asr", run=run.token)
            right = said.word_error_rate <= BAD and draw.random() >= misread
            speech.calibration("asr", said.confidence, right, run=run.token)
            age = draw.choice(["child", "adult"])
            differ = draw.random() < (careless or {}).get(age, CARELESS)
            speech.rated("asr", agreed=not differ, run=run.token, slice={"age": age})
        return said

    return answer
