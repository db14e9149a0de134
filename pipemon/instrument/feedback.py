"""Counting what is learned of a stage's output later."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pipemon.catalogue import FEEDBACK, FEEDBACK_SIGNALS, OTHER
from pipemon.errors import nearest
from pipemon.instrument.log import Quietly
from pipemon.instrument.series import Families, StageKey


class Feedback:
    """The feedback counters of one pipeline's stages: each known signal, and `other`."""

    def __init__(self) -> None:
        self._counters: dict[str, dict[str, Any]] = {}
        self._quietly = Quietly()

    def add_stage(self, families: Families, key: StageKey, declared: Iterable[str]) -> None:
        """Show that a stage had no feedback yet."""
        family = families[FEEDBACK.name]
        signals = (*FEEDBACK_SIGNALS, *declared, OTHER)
        self._counters[key.stage] = {signal: family.labels(*key.labels, signal, "") for signal in signals}

    def count(self, signal: str, stage: str) -> None:
        """Add one to a stage's signal; what was not declared is logged once, and never raises."""
        try:
            self._count(signal, stage)
        except Exception:  # noqa: BLE001  such as a full disk under the files of multiprocess mode
            self._quietly.warn("count", "feedback could not be counted", exc=True)

    def _count(self, signal: str, stage: str) -> None:
        counters = self._counters.get(str(stage))
        if counters is None:
            self._quietly.warn(str(stage), "feedback: there is no stage %r%s", stage, nearest(stage, self._counters))
            return
        counter = counters.get(str(signal))
        if counter is None:
            message = "feedback on stage %s: signal %r is not declared and counts as %s%s"
            self._quietly.warn((str(stage), str(signal)), message, stage, signal, OTHER, nearest(signal, counters))
            counter = counters[OTHER]
        counter.inc()
