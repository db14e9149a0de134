"""Alerts, and what was done about them, as annotations of Grafana."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

from pipemon.receiver.lines import sentence
from pipemon.receiver.payload import Alert
from pipemon.receiver.queue import Task
from pipemon.spec.model import ACTION_TAG


class Annotations(Protocol):
    """Where annotations are kept: Grafana."""

    def annotate(self, text: str, tags: list[str], start: float) -> int:
        """Make one that begins at a Unix time, and return its number."""

    def annotation(self, text: str, tags: list[str], start: float) -> int | None:
        """Return the number of one that is there already, or None."""

    def end_annotation(self, number: int, end: float) -> None:
        """Let one end at a Unix time."""


@dataclass(frozen=True)
class Mark:
    """An annotation to be made; it begins at the Unix time `start`."""

    text: str
    tags: list[str]
    start: float


def of_alert(alert: Alert, now: float) -> Mark:
    """Return the mark of an alert: from when it began, or `now` where that is not told."""
    start = alert.starts_at.timestamp() if alert.starts_at else now
    return Mark(sentence(alert), [*_tags(alert), *filter(None, (alert.failure_mode, alert.severity))], start)


def of_action(acted: Task, ended: float) -> Mark:
    """Return the mark of an action that has `ended`."""
    return Mark(outcome(acted, acted.state, acted.result), [*_tags(acted.alert), ACTION_TAG, acted.kind], ended)


async def make(mark: Mark, annotations: Annotations, *, again: bool) -> int:
    """Make an annotation and return its number; `again` after an attempt of which nothing is known.

    Raises PipemonError where Grafana does not take it.
    """
    if again:
        # The attempt before may have reached Grafana, and its answer not us.
        there = await asyncio.to_thread(annotations.annotation, mark.text, mark.tags, mark.start)
        if there is not None:
            return there
    return await asyncio.to_thread(annotations.annotate, mark.text, mark.tags, mark.start)


def outcome(task: Task, how: str, words: str) -> str:
    """Return how a task ended, as a line tells it: `ROLLBACK speech/asr for slow-asr: done: 1.0.0 (in 2s)`."""
    head = f"{task.kind.replace('_', ' ').upper()} {task.place or task.alert.place} for {task.alert.title}"
    return f"{head}: {how}{words and f': {words}'}"


def _tags(alert: Alert) -> list[str]:
    return ["pipemon", *filter(None, (alert.pipeline, alert.stage))]
