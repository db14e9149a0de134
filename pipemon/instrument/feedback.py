"""Counting what is learned of a stage's output later."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pipemon.catalogue import FEEDBACK, FEEDBACK_SIGNALS, OTHER
from pipemon.errors import nearest
from pipemon.instrument.log import log_once
from pipemon.instrument.series import Families, StageKey


class FeedbackSeries:
    """The feedback counters of one stage: each known signal, and `other`."""

    def __init__(self, families: Families, key: StageKey, declared: Iterable[str]) -> None:
        family = families[FEEDBACK.name]
        self._counters = {
            signal: family.labels(*key.labels, signal, "") for signal in (*FEEDBACK_SIGNALS, *declared, OTHER)
        }

    def count(self, pipeline: str, stage: str, signal: str) -> None:
        """Add one; an undeclared signal counts as `other`."""
        counter = self._counters.get(signal)
        if counter is None:
            log_once(
                ("feedback", pipeline, stage, str(signal)),
                "feedback on stage %s: signal %r is not declared and counts as %s%s",
                stage, signal, OTHER, nearest(signal, self._counters),
            )  # fmt: skip
            counter = self._counters[OTHER]
        counter.inc()


def count_feedback(series: Mapping[str, FeedbackSeries], pipeline: str, stage: str, signal: str) -> None:
    """Count a signal for a stage; a stage that is not known is logged once."""
    found = series.get(stage)
    if found is None:
        log_once(
            ("feedback", pipeline, str(stage)),
            "feedback: pipeline %s has no stage %r%s", pipeline, stage, nearest(stage, series),
        )  # fmt: skip
    else:
        found.count(pipeline, stage, signal)
