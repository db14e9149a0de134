"""Which stage's call this code runs in, found without a word from the calls themselves.

The stand-ins of stages are on the stack, so a call costs nothing more for being found. A `with stage.call()`
block is no frame of its own and says so in a context variable.
"""

from __future__ import annotations

import sys
from contextvars import ContextVar
from types import FrameType
from typing import NamedTuple, TypeVar

from pipemon.instrument.log import log_once
from pipemon.instrument.switch import disabled

T = TypeVar("T")

WRAPPER = "pm_wrapper"
"""What every stand-in's code is called."""


class StageKey(NamedTuple):
    """The labels that all of a stage's series carry."""

    pipeline: str
    stage: str
    version: str
    track: str

    @property
    def labels(self) -> tuple[str, str, str, str]:
        """Label values in the catalogue's order."""
        return (self.pipeline, self.stage, self.version, self.track)


class Remarks:
    """What the user's code said during a call: why it declined, and items dropped by reason."""

    __slots__ = ("drops", "skipped")

    def __init__(self) -> None:
        self.skipped: str | None = None
        self.drops: list[tuple[str, int]] = []


class Block:
    """A `with stage.call()` block under way."""

    __slots__ = ("begun", "key", "remarks")

    def __init__(self, key: StageKey, begun: float) -> None:
        self.key = key
        self.begun = begun
        self.remarks = Remarks()


block: ContextVar[Block | None] = ContextVar("pipemon_block", default=None)

remarks: dict[FrameType, Remarks] = {}
"""Of calls under way that said something; their stand-ins take them out at their end."""


def current_stage() -> StageKey | None:
    """Return the stage whose call this code runs in, None outside of any.

    In another thread than the call's, or in a task that the call made, there is none.
    """
    found = _current()
    if isinstance(found, Block):
        return found.key
    return None if found is None else found.f_globals["pm_key"]


def skip(reason: str, value: T | None = None) -> T | None:
    """Say that this call declines its input: `return pipemon.skip("too short")`; returns `value`.

    The call counts as skipped, neither as null nor in the stage's duration, and its items as dropped, by
    `reason` (a few fixed words: it becomes a label). Outside of a stage's call it is logged once. Never raises.
    """
    said = _remarks("skip")
    if said is not None:
        said.skipped = str(reason)
    return value


def drop(reason: str, items: int = 1) -> None:
    """Say that this call leaves out `items` on purpose; `reason` (a few fixed words) becomes a label.

    Outside of a stage's call it is logged once. Never raises.
    """
    said = _remarks("drop")
    if said is not None:
        said.drops.append((str(reason), max(0, int(items))))


def _remarks(function: str) -> Remarks | None:
    found = _current()
    if isinstance(found, Block):
        return found.remarks
    if found is not None:
        return remarks.setdefault(found, Remarks())
    if not disabled():
        log_once((function, "outside"), "pipemon.%s() outside of a stage's call counts nothing", function)
    return None


def _current() -> FrameType | Block | None:
    inside = block.get()
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_name == WRAPPER and "pm_key" in frame.f_globals:
            # The one that began later is the inner one.
            if inside is not None and inside.begun > abs(frame.f_locals.get("pm_begun", 0.0)):
                return inside
            return frame
        frame = frame.f_back
    return inside
