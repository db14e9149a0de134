"""One log line for each run that failed or gave nothing usable, at most one a second."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock
from typing import Protocol

from pipemon.instrument.outcome import NULL

logger = logging.getLogger("pipemon.runs")

_MOST_KEYS = 1000


class Identified(Protocol):
    """A run."""

    @property
    def id(self) -> str:
        """Its token."""


@dataclass
class _Ended:
    """Runs of one pipeline and outcome: how many ended, and how many had ended at the latest line."""

    number: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    told: int = 0
    at: float = float("-inf")
    telling: Lock = field(default_factory=Lock)


class RunLog:
    """Tells of ended runs, at most once in `every` seconds for a pipeline and outcome."""

    def __init__(self, every: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._every = every
        self._clock = clock
        self._ended: dict[tuple[str, str], _Ended] = {}

    def ended(
        self,
        pipeline: str,
        run: Identified | None,
        outcome: str,
        failed_stage: str | None,
        exception_class: str | None,
        seconds: float,
    ) -> None:
        """Log a run that ended with this outcome: null as information, any other as a warning. Never raises.

        The fields are attributes of the record too, for structured logs: `pipeline`, `run_id`, `outcome`,
        `failed_stage`, `exception` (its class), `seconds` and `suppressed`, the number of such runs since the
        line before that have none. Neither the input nor an exception's message is told: they are the users'.
        """
        with suppress(Exception):  # a filter or handler of the user's may raise
            level = logging.INFO if outcome == NULL else logging.WARNING
            if not logger.isEnabledFor(level):
                return
            kept = self._ended.get((pipeline, outcome))
            if kept is None:
                if len(self._ended) >= _MOST_KEYS:
                    return
                kept = self._ended.setdefault((pipeline, outcome), _Ended())
            number = next(kept.number)  # atomic, unlike +=
            now = self._clock()
            if now - kept.at < self._every or not kept.telling.acquire(blocking=False):
                return
            try:
                suppressed, kept.told, kept.at = max(0, number - kept.told - 1), number, now
            finally:
                kept.telling.release()
            fields = {
                "pipeline": pipeline,
                "run_id": "" if run is None else run.id,
                "outcome": outcome,
                "failed_stage": failed_stage or "",
                "exception": exception_class or "",
                "seconds": seconds,
                "suppressed": suppressed,
            }
            logger.log(level, "%s", _sentence(fields), extra=fields)


def _sentence(fields: dict[str, object]) -> str:
    how = {"null": "gave nothing usable", "error": "failed"}.get(str(fields["outcome"]), f"ended: {fields['outcome']}")
    where = f" in stage {fields['failed_stage']}" if fields["failed_stage"] else ""
    why = f": {fields['exception']}" if fields["exception"] else ""
    more = f" ({fields['suppressed']} more since the last line)" if fields["suppressed"] else ""
    which = f"run {fields['run_id']}" if fields["run_id"] else "a run"
    return f"{which} of {fields['pipeline']} {how}{where} after {fields['seconds']:.3f} s{why}{more}"


log_ended_run = RunLog().ended
"""The process's own."""
