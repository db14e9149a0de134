"""What may be done when an alert fires: how, and where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipemon.receiver.payload import Alert
from pipemon.spec.model import ACTIONS


@dataclass(frozen=True)
class Action:
    """How one action on one stage is done: by a `command` and its arguments, or by a POST to `url`.

    `token_file` holds the bearer token that the URL wants. An attempt may take `timeout` seconds. After one that
    was begun, none begins for `every` seconds where the labels `by` are the same. `attempts` are made at most:
    by default one of a command, which may have done half of its work, and three of a URL, which gets the same
    key each time.
    """

    command: tuple[str, ...] = ()
    url: str = ""
    token_file: Path | None = None
    timeout: float = 120.0
    every: float = 3600.0
    by: tuple[str, ...] = ()
    attempts: int = 1

    @property
    def words(self) -> str:
        """What it does, to be read by people."""
        return f"POST {self.url}" if self.url else " ".join(self.command)


@dataclass(frozen=True)
class Asked:
    """What an alert asks for: the action `name` on a stage of a pipeline."""

    pipeline: str
    name: str
    stage: str


Actions = Mapping[Asked, Action]


def asked_for(alert: Alert) -> Asked | None:
    """Return what an alert's annotation `then` asks for, such as `rollback vad`, or None."""
    name, _, stage = alert.then.partition(" ")
    return Asked(alert.pipeline, name, stage) if name in ACTIONS and stage and alert.pipeline else None


def place(asked: Asked, action: Action, alert: Alert) -> str:
    """Return where an action is done, as a name: `speech/vad`, with the labels `by` that the alert has."""
    labels = dict(alert.labels)
    return "/".join((asked.pipeline, asked.stage, *(labels.get(label, "") for label in action.by)))
