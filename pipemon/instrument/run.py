"""One pass through the pipeline: its id, and which stage broke it."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

from pipemon.catalogue import OTHER
from pipemon.instrument.outcome import ERROR, of_exception
from pipemon.instrument.recorder import Recorder
from pipemon.instrument.series import FAILED_STAGE
from pipemon.instrument.wrapping import LEAVE, RECORD, parameters_of, write_wrapper

_MARKS = "_pipemon_failed"
"""The stage that an exception left first, and when by the process's clock, for each pipeline."""


class Run:
    """A run in progress. `pipeline` is its pipeline's name, `id` a token made when first asked for."""

    def __init__(self, pipeline: str, begun: float) -> None:
        self.pipeline = pipeline
        self.last_stage: str | None = None
        self._begun = begun

    @property
    def id(self) -> str:
        """A token without a space, unique to this run; its end is the start time (Unix ms, in hex)."""
        made = self.__dict__
        if "_id" not in made:
            started = time.time() - (time.perf_counter() - self._begun)
            # Atomic: all threads of a run get the same token.
            made.setdefault("_id", f"{secrets.token_hex(8)}-{round(started * 1000):x}")
        token: str = made["_id"]
        return token


_current: ContextVar[Run | None] = ContextVar("pipemon_run", default=None)

current = _current.get


def current_run() -> Run | None:
    """Return the run that this code is part of, None outside of any."""
    return current()


def blame(error: BaseException, pipeline: str, stage: str, begun: float, ended: float) -> None:
    """Note on an exception that it left this stage, unless during the call it left another of the pipeline.

    On the exception, since a list in the run would keep all of them, their frames and inputs alive, and since
    an exception also comes back from executors, whose threads and processes know of no run.
    """
    marks = getattr(error, _MARKS, {})
    _, left = marks.get(pipeline, ("", -math.inf))
    if left < begun:  # not a mark of an earlier call: an exception may be raised again and again
        with suppress(Exception):  # its class may refuse
            setattr(error, _MARKS, {**marks, pipeline: (stage, ended)})


def failed_stage(error: BaseException, pipeline: str, begun: float) -> str | None:
    """Return the stage that raised first since `begun` among what led to `error`, None if no stage did."""
    marks = (getattr(cause, _MARKS, {}).get(pipeline) for cause in _causes(error))
    stages = [mark[0] for mark in marks if mark is not None and mark[1] >= begun]
    return stages[-1] if stages else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, the members of a group, and what each was raised from, nearest first."""
    waiting = [error]
    seen: set[int] = set()
    while waiting and len(seen) < 1000:
        cause = waiting.pop(0)
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        if isinstance(cause, BaseExceptionGroup):
            waiting.extend(cause.exceptions)
        before = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
        if before is not None:
            waiting.append(before)


_BEFORE = """
pm_enter(None)
pm_begun = pm_clock()
pm_run = pm_Run(pm_pipeline, pm_begun)
pm_token = pm_set(pm_run)
"""

_ENDED = """
try:
    pm_reset(pm_token)
except pm_ValueError:
    pass  # a coroutine that is closed in another context than it began in
"""

_ENDED += LEAVE + RECORD.format(row="pm_begun, pm_ended")


def wrap_run(function: Callable[..., Any], *, pipeline: str, recorder: Recorder) -> Callable[..., Any]:
    """Return a function like `function`, each call of which is a run. Rows are (begun, ended)."""

    def failed(begun: float, error: BaseException) -> None:
        if of_exception(error) == ERROR:
            recorder.note(FAILED_STAGE, failed_stage(error, pipeline, begun) or OTHER)

    return write_wrapper(
        function,
        parameters_of(function),
        recorder,
        title=f"run of {pipeline}",
        before=_BEFORE,
        returned=_ENDED,
        raised=_ENDED + "pm_failed(pm_begun, pm_error)",
        names={
            "pm_pipeline": pipeline,
            "pm_Run": Run,
            "pm_set": _current.set,
            "pm_reset": _current.reset,
            "pm_failed": failed,
        },
    )
