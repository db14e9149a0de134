"""What the demo breaks, in which order and how badly, and what must come of it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

PIPELINE = "speech"

KEY_FEATURES = ("audio_high_band_db", "speech_share", "words_per_second", "acoustic_score", "word_error_rate")
"""The features whose means the screen shows."""


@dataclass(frozen=True)
class Fault:
    """Something that is broken on purpose.

    `control` is its name in the traffic's control file; None kills the traffic's process instead. The
    strength is drawn between `weakest` and `strongest`, in the control file's unit. `failure_mode` must
    be notified; of `effects`, the failure modes that follow from it, at least one must fire and be held
    back where `needs_effects` is set, and none may be notified. Where `rolled_back` is set, the receiver must take the
    fault away by the rollback that the alert asks for; others are taken away by hand.
    """

    name: str
    title: str
    control: str | None
    weakest: float
    strongest: float
    failure_mode: str
    effects: tuple[str, ...] = ()
    needs_effects: bool = False
    rolled_back: bool = False


FAULTS = (
    Fault(
        "telephone", "telephone-band microphones", "telephone_band", 0.9, 1.0,
        "telephone-microphones", ("gibberish", "users-repeat-themselves"), needs_effects=True,
    ),
    Fault(
        "slow", "a recogniser that is too slow", "slow", 2.0, 3.0, "slow-asr", ("answer-too-late",), rolled_back=True
    ),
    Fault("killed", "the pipeline's process killed", None, 0.0, 0.0, "nobody-calls"),
)  # fmt: skip


@dataclass(frozen=True)
class Step:
    """A fault at the strength that it is played with."""

    fault: Fault
    strength: float

    @property
    def title(self) -> str:
        """What is broken, and how badly."""
        return f"{self.fault.title} ({self.strength:g})" if self.fault.control else self.fault.title


def script(seed: int = 0, names: Sequence[str] = ()) -> tuple[Step, ...]:
    """Return the steps: the faults called `names`, by default all.

    The seed 0 plays the table's order at middling strength; any other draws both. Raises ValueError for
    a name that is not in the table.
    """
    known = {fault.name: fault for fault in FAULTS}
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"there is no fault {unknown[0]!r}; the faults are {', '.join(known)}")
    chosen = [fault for fault in FAULTS if not names or fault.name in names]
    if seed == 0:
        return tuple(Step(fault, (fault.weakest + fault.strongest) / 2) for fault in chosen)
    draw = random.Random(seed)
    draw.shuffle(chosen)
    return tuple(Step(fault, round(draw.uniform(fault.weakest, fault.strongest), 2)) for fault in chosen)
