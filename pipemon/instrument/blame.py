"""Which stage an exception left first: noted on the exception itself."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress

_MARKS = "_pipemon_failed"
"""The stage that an exception left first, and when by the process's clock, for each pipeline."""


def blame(error: BaseException, pipeline: str, stage: str, begun: float, ended: float) -> None:
    """Note on an exception that it left this stage, unless during the call it left another of the pipeline.

    The mark is on the exception: a list in the run would keep all of them alive, with their frames and inputs. An
    exception also comes back from executors, whose threads and processes know of no run.
    """
    marks = _marks(error)
    _, left = marks.get(pipeline, ("", -math.inf))
    if left < begun:  # not a mark of an earlier call: an exception may be raised again and again
        with suppress(Exception):  # its class may refuse
            setattr(error, _MARKS, {**marks, pipeline: (stage, ended)})


def _marks(error: BaseException) -> dict[str, tuple[str, float]]:
    with suppress(Exception):  # its class may answer anything
        marks = getattr(error, _MARKS, None)
        if isinstance(marks, dict):
            return marks
    return {}


def failed_stage(error: BaseException, pipeline: str, begun: float) -> str | None:
    """Return the stage that raised first since `begun` among what led to `error`, None if no stage did."""
    marks = (_marks(cause).get(pipeline) for cause in _causes(error))
    stages = [(ended, stage) for stage, ended in filter(None, marks) if ended >= begun]
    return min(stages)[1] if stages else None


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
