"""A closer look at a few calls: their processor time and their span. The others pay nothing for it."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Generator
from time import perf_counter, thread_time
from typing import Any

from pipemon.instrument.recorder import Recorder, Sample
from pipemon.instrument.tracing import active_span


class Look:
    """One sampled call. `seconds` of processor time add up while it is between `go` and `rest`."""

    __slots__ = ("_at", "seconds", "span")

    def __init__(self) -> None:
        self.seconds = 0.0
        self.span = active_span()
        self._at = thread_time()

    def go(self) -> None:
        """The call's code begins to run in this thread."""
        self._at = thread_time()

    def rest(self) -> None:
        """The call's code stops running in this thread."""
        self.seconds += thread_time() - self._at


def looker(recorder: Recorder) -> Any:
    """Return what a call that begins at `begun` asks for when it is due: a Look, None if that fails."""

    def look(begun: float) -> Look | None:
        try:
            recorder.look(begun)
            return Look()
        except Exception:  # noqa: BLE001  nothing around it catches
            return None

    return look


_SLOW = 0.1
"""Seconds; with many threads, a caller waits some for its turn that no extractor can help."""


def sampled(recorder: Recorder, look: Look, seconds: float, ended: float) -> None:
    """Keep a sampled call that lasted `seconds` and `ended` before its features were taken, which is all over now."""
    afterwards = max(0.0, perf_counter() - ended)  # a test may have stopped one of the clocks
    recorder.add_sample(Sample(seconds, look.seconds, look.span, afterwards))
    if afterwards > _SLOW:
        message = "%s: its extractors took %.0f ms after a call of %.0f ms; the caller waits: give them a sample="
        recorder.quietly.warn("slow extractors", message, recorder.name, afterwards * 1000, seconds * 1000)


def spotted(recorder: Recorder, seconds: float) -> None:
    """Keep a call that is worth a link to its trace: one that failed or took too long."""
    span = active_span()
    if span is not None:
        recorder.add_sample(Sample(seconds, math.nan, span))


class Metered(Awaitable[Any]):
    """Awaits a coroutine, or whatever else can be awaited, adding up its own processor time.

    The event loop runs other tasks while it waits: a clock read before and after would count theirs.
    """

    __slots__ = ("_look", "_steps")

    def __init__(self, look: Look, awaited: Any) -> None:
        self._look = look
        # Coroutines made by `types.coroutine` are awaited without having the method.
        self._steps = awaited.__await__() if hasattr(awaited, "__await__") else awaited

    def __await__(self) -> Generator[Any, Any, Any]:
        look, steps = self._look, self._steps
        sent: Any = None
        thrown: BaseException | None = None
        error: BaseException | None = None
        while True:
            look.go()
            try:
                if thrown is None:
                    waits_for = next(steps) if sent is None else steps.send(sent)
                else:
                    error, thrown = thrown, None
                    waits_for = steps.throw(error)
            except StopIteration as stop:
                return stop.value
            finally:
                error = None
                look.rest()
            try:
                sent = yield waits_for
            except BaseException as raised:  # noqa: BLE001  passed on, GeneratorExit too
                thrown = raised


def metered(look: Look | None, steps: Any) -> Any:
    """Return `steps`, to be awaited: metered if this call is sampled."""
    return steps if look is None else Metered(look, steps)
