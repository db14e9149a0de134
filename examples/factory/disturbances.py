"""What goes wrong beside a line, done on purpose: each is a change of the station's set-up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from classifier import Training
from inspection import Setup


@dataclass(frozen=True)
class Fault:
    """A fault, by what it does to the set-up; `strength` is the usual one, in `unit`.

    One that comes by and by `begins` at another strength, at which nothing is wrong; None for what comes at once.
    """

    what: str
    strength: float
    unit: str
    change: Callable[[Setup, float], Setup]
    begins: float | None = None


FAULTS: dict[str, Fault] = {
    "lamps_dimmed": Fault("weak lamps", 0.4, "of the light", lambda setup, s: replace(setup, light=s)),
    "lamps_aging": Fault(
        "lamps that grow old", 0.9, "of the light in the end", lambda setup, s: replace(setup, light=s), begins=1.0
    ),
    "lens_dirty": Fault("oil on the lens", 4, "times smeared", lambda setup, s: replace(setup, blur=round(s))),
    "camera_frozen": Fault("a camera that hangs", 1, "", lambda setup, s: replace(setup, frozen=bool(s))),
    "crop_shifted": Fault("somebody moved the camera", 10, "pixels", lambda setup, s: replace(setup, shift=round(s))),
    # The tablet is hot, and slows down; the classifier does its usual work after a wait.
    "slow_classifier": Fault("a hot tablet", 0.06, "seconds a frame", lambda setup, s: replace(setup, wait=s)),
    "canary_worse": Fault(
        "a candidate trained on too little", 3, "scenes",
        lambda setup, s: replace(setup, canary=Training(scenes=round(s), seed=8)),
    ),
}  # fmt: skip


def set_up(fault: str | None, strength: float | None = None, progress: float = 1.0) -> Setup:
    """Return the station's set-up under a fault (a name of FAULTS, or None).

    `progress` is how far one that comes by and by has come, 0 to 1.
    """
    if fault is None:
        return Setup()
    chosen = FAULTS[fault]
    end = chosen.strength if strength is None else strength
    return chosen.change(Setup(), end if chosen.begins is None else chosen.begins + (end - chosen.begins) * progress)
