"""Which stage's call this code runs in, found without a word from the calls themselves.

The stand-ins of stages are on the stack, so a call costs nothing more for being found. A `with stage.call()`
block is no frame of its own and says so in a context variable.
"""

from __future__ import annotations

import sys
from contextvars import ContextVar
from types import FrameType
from typing import NamedTuple, TypeVar

from pipemon.catalogue import OTHER
from pipemon.instrument.log import log_once
from pipemon.instrument.switch import disabled

T = TypeVar("T")

_MOST_REASONS = 50
"""Kept apart in one call."""

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
        self.drops: dict[str, int] = {}


class Block:
    """A `with stage.call()` block under way: entered by `frame`, in another one, until it has ended."""

    __slots__ = ("begun", "ended", "frame", "key", "outer", "remarks")

    def __init__(self, key: StageKey, begun: float, frame: FrameType | None, outer: Block | None) -> None:
        self.key = key
        self.begun = begun
        self.frame = frame
        self.outer = outer
        self.ended = False
        self.remarks = Remarks()

    def end(self) -> None:
        """Whoever still has it in its context, such as a task that it began, is no longer in it."""
        self.ended, self.frame, self.outer = True, None, None


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
    `reason`: a few fixed words, since it becomes a label. Outside of a stage's call it is logged once.
    Never raises.
    """
    said = _remarks("skip")
    if said is not None:
        decline(said, reason)
    return value


def drop(reason: str, items: int = 1) -> None:
    """Say that this call leaves out `items` on purpose; `reason` is a few fixed words: it becomes a label.

    Outside of a stage's call it is logged once. Never raises.
    """
    said = _remarks("drop")
    if said is not None:
        leave_out(said, reason, items)


def decline(said: Remarks, reason: object) -> None:
    """Note that a call declines its input. Never raises."""
    try:
        said.skipped = str(reason)
    except Exception:  # noqa: BLE001  the user's object
        said.skipped = OTHER


def leave_out(said: Remarks, reason: object, items: object) -> None:
    """Note that a call leaves out items. Never raises."""
    try:
        number = int(items)  # type: ignore[call-overload]
        name = str(reason)
        if name not in said.drops and len(said.drops) >= _MOST_REASONS:
            name = OTHER
        if number > 0:
            said.drops[name] = said.drops.get(name, 0) + number
    except Exception:  # noqa: BLE001  the user's objects
        log_once("drop", "pipemon.drop() was given what is no number of items, or no reason", where=True)


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
    """Return the innermost call: the first on the way out of here that is a stand-in, or that entered a block."""
    entered: dict[FrameType, Block] = {}
    innermost = inside = _living(block.get())
    while inside is not None:
        if inside.frame is not None:
            entered.setdefault(inside.frame, inside)
        inside = _living(inside.outer)
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if frame in entered:
            return entered[frame]
        if frame.f_code.co_name == WRAPPER and "pm_key" in frame.f_globals:
            return frame
        frame = frame.f_back
    return innermost  # in a thread or task of the block's, or entered through an ExitStack


def _living(found: Block | None) -> Block | None:
    while found is not None and found.ended:
        found = found.outer
    return found
