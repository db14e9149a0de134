"""What was told and what is still to be done, on disk: nothing is lost in a restart, and nothing is done twice."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pipemon.errors import OptionError
from pipemon.receiver.payload import Alert, Notification

State = Literal["waiting", "running", "done", "failed", "skipped"]

MOST_ALERTS = 20_000
"""Alerts that are kept; the oldest that resolved and have nothing left to do go first."""
_KEPT = 30 * 86_400.0
_SCHEMA = """
create table if not exists alerts (
    id integer primary key, fingerprint text not null, started real not null, ended real, body text not null);
create index if not exists alerts_by_fingerprint on alerts (fingerprint, started);
create table if not exists tasks (
    id integer primary key, alert integer not null references alerts on delete cascade, kind text not null,
    place text not null, state text not null, attempts integer not null default 0, due real not null,
    began real, ended real, result text not null default '', unique (alert, kind));
create index if not exists tasks_by_state on tasks (state, due);
create index if not exists tasks_by_place on tasks (kind, place, began);
"""
_VERSION = 1


@dataclass(frozen=True)
class Task:
    """One thing to do about an alert. Times are Unix seconds; `attempts` counts the one that runs.

    `kind` is `annotate`, `end_annotation`, `annotate_action` or the name of an action; `place` where an action is done.
    """

    id: int
    kind: str
    place: str
    state: State
    attempts: int
    due: float
    began: float | None
    ended: float | None
    result: str
    alert: Alert
    alert_ended: float | None

    @property
    def resolved(self) -> bool:
        """Whether the alert no longer fires."""
        return self.alert_ended is not None

    @property
    def key(self) -> str:
        """The same for every attempt at this task, and for no other task of the file."""
        return f"pipemon-{self.id}-{self.alert.fingerprint}"


class Queue:
    """The alerts and tasks in a file of SQLite, or in memory without one. For one process, and one thread at a time.

    Raises OptionError for a file that is none of ours, and OSError where the disk does not take what is written.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        try:
            # Transactions are begun by hand, each as a whole.
            self._db = sqlite3.connect(":memory:" if path is None else path, timeout=1.0, isolation_level=None)
            self._db.row_factory = sqlite3.Row
            version = self._db.execute("pragma user_version").fetchone()[0]
            if version not in (0, _VERSION) or (
                version == 0 and self._db.execute("select 1 from sqlite_master").fetchone()
            ):
                raise OptionError(f"{path} is no queue of this version of pipemon")
            for pragma in ("journal_mode = wal", "synchronous = full", "foreign_keys = on", "locking_mode = exclusive"):
                self._db.execute(f"pragma {pragma}")
            self._db.executescript(f"begin exclusive; {_SCHEMA} pragma user_version = {_VERSION}; commit;")
        except sqlite3.Error as error:
            taken = "locked" in str(error)
            why = "another receiver has it" if taken else str(error)
            raise OptionError(f"cannot use {path} as the queue: {why}") from None

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def take(
        self, told: Notification, now: float, wanted: Callable[[Alert], Iterable[tuple[str, str]]]
    ) -> tuple[Alert, ...]:
        """Keep what a notification tells, with its tasks, or nothing of it; return the alerts that began or ended.

        `wanted` gives the kind and place of each task of an alert that was not told before. An alert is the same
        while it has not resolved, and also where it is told again as firing since before that: from another
        Alertmanager, or after Prometheus was away.
        """
        with self._whole():
            news = tuple(alert for alert in told.alerts if self._take(alert, now, wanted))
            self._forget(now)
        return news

    def _take(self, alert: Alert, now: float, wanted: Callable[[Alert], Iterable[tuple[str, str]]]) -> bool:
        """Keep what is told of one alert; return whether it began or ended."""
        last = self._db.execute(
            "select id, ended from alerts where fingerprint = ? order by id desc limit 1", (alert.fingerprint,)
        ).fetchone()
        started = alert.starts_at.timestamp() if alert.starts_at else now
        if alert.status == "resolved":
            if last and last["ended"] is None:
                ended = alert.ends_at.timestamp() if alert.ends_at else now
                self._db.execute("update alerts set ended = ? where id = ?", (ended, last["id"]))
                self._db.execute(
                    "insert into tasks (alert, kind, place, state, due)"
                    " select alert, 'end_annotation', '', 'waiting', ? from tasks where alert = ? and kind = 'annotate'"
                    " on conflict (alert, kind) do update set state = 'waiting', attempts = 0, due = excluded.due",
                    (now, last["id"]),
                )
            # What was held back while it fired is told as resolved too; it is no news.
            return bool(last) and last["ended"] is None
        if last and (last["ended"] is None or started < last["ended"]):
            self._db.execute("update alerts set ended = null, body = ? where id = ?", (_dump(alert), last["id"]))
            return last["ended"] is not None
        row = self._db.execute(
            "insert into alerts (fingerprint, started, body) values (?, ?, ?)",
            (alert.fingerprint, started, _dump(alert)),
        )
        for kind, place in wanted(alert):
            self._db.execute(
                "insert into tasks (alert, kind, place, state, due) values (?, ?, ?, 'waiting', ?)",
                (row.lastrowid, kind, place, now),
            )
        return True

    def begin(self, kinds: Iterable[str], now: float) -> Task | None:
        """Return the next task of these kinds that is due, as one that runs from now on; None if there is none."""
        names = tuple(kinds)
        with self._whole():
            marks = ", ".join("?" * len(names))
            row = self._db.execute(
                f"select id from tasks where state = 'waiting' and due <= ? and kind in ({marks})"
                " order by due, id limit 1",
                (now, *names),
            ).fetchone()
            if row is None:
                return None
            self._db.execute(
                "update tasks set state = 'running', attempts = attempts + 1, began = ? where id = ?", (now, row["id"])
            )
        return self._tasks("tasks.id = ?", (row["id"],))[0]

    def end(
        self, task: Task, state: State, result: str, now: float, due: float = 0.0, then: tuple[str, ...] = ()
    ) -> None:
        """Say how an attempt ended; as `waiting`, when the next one is due. `then` are kinds to be done after it."""
        with self._whole():
            for kind in then:
                self._db.execute(
                    "insert or ignore into tasks (alert, kind, place, state, due)"
                    " select alert, ?, place, 'waiting', ? from tasks where id = ?",
                    (kind, now, task.id),
                )
            self._db.execute(
                "update tasks set state = ?, result = ?, ended = ?, due = ? where id = ?",
                (state, result, now, due, task.id),
            )

    def broken_off(self) -> list[Task]:
        """Return the tasks that ran when the process before this one ended."""
        return self._tasks("tasks.state = 'running'", ())

    def last_begun(self, task: Task) -> Task | None:
        """Return the last other task of its kind and place that was begun, and neither failed nor was skipped."""
        found = self._tasks(
            "tasks.kind = ? and tasks.place = ? and tasks.id != ? and tasks.began is not null"
            " and tasks.state not in ('failed', 'skipped') order by tasks.began desc limit 1",
            (task.kind, task.place, task.id),
        )
        return found[0] if found else None

    def of_alert(self, task: Task, kind: str) -> Task | None:
        """Return the task of a kind about the same alert."""
        found = self._tasks("tasks.kind = ? and tasks.alert = (select alert from tasks where id = ?)", (kind, task.id))
        return found[0] if found else None

    def length(self) -> int:
        """Return how many tasks have not ended."""
        found = self._db.execute("select count(*) from tasks where state in ('waiting', 'running')").fetchone()
        return int(found[0])

    def latest(self, most: int) -> list[tuple[Alert, float | None, list[Task]]]:
        """Return the last alerts, those that fire first, each with when it ended and its tasks."""
        rows = self._db.execute(
            "select id, ended, body from alerts order by ended is not null, coalesce(ended, started) desc limit ?",
            (most,),
        ).fetchall()
        return [(_load(row["body"]), row["ended"], self._tasks("tasks.alert = ?", (row["id"],))) for row in rows]

    def _tasks(self, where: str, values: tuple[Any, ...]) -> list[Task]:
        rows = self._db.execute(
            "select tasks.*, alerts.body, alerts.ended as alert_ended"
            f" from tasks join alerts on alerts.id = tasks.alert where {where}",
            values,
        )
        return [_task(row) for row in rows]

    def _forget(self, now: float) -> None:
        """Drop what is done and old, and the oldest where there is too much. Raises OSError where all is still open."""
        idle = "ended is not null and id not in (select alert from tasks where state in ('waiting', 'running'))"
        self._db.execute(f"delete from alerts where ended < ? and {idle}", (now - _KEPT,))
        many = self._db.execute("select count(*) from alerts").fetchone()[0] - MOST_ALERTS
        if many > 0:
            self._db.execute(
                f"delete from alerts where id in (select id from alerts where {idle} order by id limit ?)", (many,)
            )
            if self._db.execute("select count(*) from alerts").fetchone()[0] > MOST_ALERTS:
                raise OSError(f"the queue is full: {MOST_ALERTS:,} alerts fire or have actions to come")

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Do what is in the block at once, or nothing of it."""
        try:
            self._db.execute("begin immediate")
            try:
                yield
                self._db.execute("commit")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("rollback")
                raise
        except sqlite3.Error as error:
            raise OSError(f"the queue does not take it: {error}") from None


def _task(row: sqlite3.Row) -> Task:
    return Task(
        row["id"], row["kind"], row["place"], row["state"], row["attempts"], row["due"], row["began"], row["ended"],
        row["result"], _load(row["body"]), row["alert_ended"],
    )  # fmt: skip


def _dump(alert: Alert) -> str:
    return json.dumps(asdict(alert), default=datetime.isoformat)


def _load(text: str) -> Alert:
    body = json.loads(text)
    for key in ("starts_at", "ends_at"):
        body[key] = body[key] and datetime.fromisoformat(body[key]).astimezone(UTC)
    return Alert(**body | {"labels": tuple(map(tuple, body["labels"]))})
