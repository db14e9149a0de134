"""Works the queue off: annotations in Grafana, and the actions that alerts ask for."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from pipemon.errors import PipemonError
from pipemon.receiver.actions import Action, Actions, asked_for, place
from pipemon.receiver.attempts import Outcome, attempt
from pipemon.receiver.marks import Annotations, Mark, make, of_action, of_alert, outcome
from pipemon.receiver.measures import Measures
from pipemon.receiver.payload import Alert, Notification
from pipemon.receiver.queue import Queue, State, Task
from pipemon.spec.model import ACTIONS
from pipemon.units import duration

ANNOTATE, END_ANNOTATION, ANNOTATE_ACTION = "annotate", "end_annotation", "annotate_action"
_ANNOTATIONS = (ANNOTATE, END_ANNOTATION, ANNOTATE_ACTION)
_LONGEST_END = 20.0
"""Seconds that an action which runs has when the receiver is told to stop."""
_log = logging.getLogger("pipemon.receiver")
_PAUSES = (10.0, 30.0, 60.0, 300.0)
"""Seconds until the next attempt; the last stays."""
_GIVEN_UP_AFTER = 86_400.0


@dataclass(frozen=True)
class Settings:
    """How the receiver does its work.

    `queue` is its file, in memory for None. `actions` say how a stage is rolled back or retrained; `annotations` is
    where alerts are marked. `token` is what senders must have, "" for nothing.
    """

    queue: Path | None = None
    actions: Actions = field(default_factory=dict)
    annotations: Annotations | None = None
    token: str = ""
    dry_run: bool = False


@dataclass(frozen=True)
class Worker:
    """What is done about alerts, in the `queue`'s order. `say` prints a line; `ended` is told how each task ended."""

    settings: Settings
    queue: Queue
    measures: Measures
    say: Callable[[str], None]
    ended: Callable[[Task, State], object] = lambda task, state: None
    clock: Callable[[], float] = time.time
    _woken: dict[str, asyncio.Event] = field(default_factory=dict)

    def wanted(self, alert: Alert) -> Iterator[tuple[str, str]]:
        """Yield the kind and the place of all that is to be done about a new alert."""
        if self.settings.annotations is not None:
            yield ANNOTATE, ""
        asked = asked_for(alert)
        if asked and (action := self.settings.actions.get(asked)):
            yield asked.name, place(asked, action, alert)

    def take(self, told: Notification) -> tuple[Alert, ...]:
        """Keep what a notification tells, begin to do what it asks for, and return the alerts that began or ended.

        Raises OSError where it can't be kept.
        """
        news = self.queue.take(told, self.clock(), self.wanted)
        self.measures.committed(told)
        self.wake()
        return news

    def wake(self) -> None:
        """Look at the queue now."""
        for event in self._woken.values():
            event.set()

    async def work(self, stop: asyncio.Event) -> None:
        """Work until `stop`, and end what runs. Annotations do not wait for actions, nor actions for Grafana."""
        try:
            for task in self.queue.broken_off():
                self._after_a_break(task)
        except OSError as error:
            self.say(str(error))
        async with asyncio.TaskGroup() as lanes:
            lanes.create_task(self._lane("annotations", _ANNOTATIONS, stop))
            lanes.create_task(self._lane("actions", ACTIONS, stop))

    async def _lane(self, name: str, kinds: tuple[str, ...], stop: asyncio.Event) -> None:
        woken = self._woken[name] = asyncio.Event()
        while not stop.is_set():
            woken.clear()
            try:
                while not stop.is_set() and (task := self.queue.begin(kinds, self.clock())):
                    await self._do(task)
            except OSError as error:
                self.say(f"{error}; tried again in {duration(_PAUSES[0])}")
            with suppress(TimeoutError):
                async with asyncio.timeout(_PAUSES[0]):
                    await woken.wait()

    async def _do(self, task: Task) -> None:
        try:
            await (self._annotate(task) if task.kind in _ANNOTATIONS else self._act(task))
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001
            # What is wrong with one task keeps no other from being done.
            _log.exception("A task could not be done.")
            self._end(task, "failed", f"{type(error).__name__}: {error}")

    async def _act(self, task: Task) -> None:
        asked = asked_for(task.alert)
        action = self.settings.actions.get(asked) if asked else None
        if reason := self._needless(task, action):
            self._end(task, "skipped", reason)
            return
        assert action is not None
        if self.settings.dry_run:
            self._end(task, "skipped", f"would do: {action.words}")
            return
        began = self.clock()
        came = await attempt(action, task.alert, task.key)
        took = duration(max(1, round(self.clock() - began)))
        words = f"{came.words} " if came.words else ""
        self._settle(task, replace(came, words=f"{words}(in {took})"), action.attempts)

    def _needless(self, task: Task, action: Action | None) -> str:
        """Return why an action is not done, or ""."""
        if action is None:
            return "the file of actions no longer says how"
        if task.resolved:
            return "the alert has resolved"
        last = self.queue.last_begun(task)
        if last is not None and last.began is not None and self.clock() - last.began < action.every:
            ago = duration(max(1, round(self.clock() - last.began)))
            return f"begun {ago} ago for {last.alert.failure_mode}, and at most once in {duration(action.every)}"
        return ""

    async def _annotate(self, task: Task) -> None:
        annotations = self.settings.annotations
        if annotations is None:
            self._end(task, "skipped", "no Grafana was given")
            return
        try:
            if task.kind == END_ANNOTATION:
                await self._end_annotation(task, annotations)
            elif mark := self._mark(task):
                number = await make(mark, annotations, again=task.attempts > 1)
                self._end(task, "done", str(number))
            else:
                self._end(task, "skipped", "there was no action")
        except PipemonError as error:
            old = self.clock() - (task.alert.starts_at.timestamp() if task.alert.starts_at else self.clock())
            self._settle(task, Outcome(False, str(error), again=old < _GIVEN_UP_AFTER), attempts=10_000)

    def _mark(self, task: Task) -> Mark | None:
        if task.kind == ANNOTATE:
            return of_alert(task.alert, self.clock())
        asked = asked_for(task.alert)
        acted = self.queue.of_alert(task, asked.name) if asked else None
        return None if acted is None or acted.ended is None else of_action(acted, acted.ended)

    async def _end_annotation(self, task: Task, annotations: Annotations) -> None:
        begun = self.queue.of_alert(task, ANNOTATE)
        if begun is None or begun.state in ("failed", "skipped"):
            self._end(task, "skipped", "it was never begun")
        elif begun.state != "done":
            self.queue.end(task, "waiting", "", self.clock(), self.clock() + _PAUSES[0])
        else:
            end = self.clock() if task.alert_ended is None else task.alert_ended
            await asyncio.to_thread(annotations.end_annotation, int(begun.result), end)
            self._end(task, "done", "")

    def _settle(self, task: Task, came: Outcome, attempts: int) -> None:
        if came.done:
            self._end(task, "done", came.words)
        elif came.again and task.attempts < attempts:
            pause = _PAUSES[min(task.attempts, len(_PAUSES)) - 1]
            self.measures.action(task.kind, "retried")
            self.queue.end(task, "waiting", came.words, self.clock(), self.clock() + pause)
            if task.kind in ACTIONS or task.attempts == 1:
                self._tell(task, f"failed, tried again in {duration(pause)}", came.words)
        else:
            self._end(task, "failed", came.words)

    def _end(self, task: Task, state: State, words: str) -> None:
        annotated = self.settings.annotations is not None and task.kind in ACTIONS and state in ("done", "failed")
        self.queue.end(task, state, words, self.clock(), then=(ANNOTATE_ACTION,) if annotated else ())
        self.wake()
        self.measures.action(task.kind, state)
        if task.kind in ACTIONS or state == "failed":
            self._tell(task, state, words)
        self.ended(task, state)

    def _tell(self, task: Task, how: str, words: str) -> None:
        at = datetime.fromtimestamp(self.clock()).astimezone()
        self.say(f"{at:%Y-%m-%d %H:%M:%S} {outcome(task, how, words)}")

    def _after_a_break(self, task: Task) -> None:
        """Go on with what ran when the process before ended: whether a command was done, nobody knows."""
        asked = asked_for(task.alert)
        action = self.settings.actions.get(asked) if asked else None
        if task.kind in _ANNOTATIONS or (action is not None and action.url):
            self.queue.end(task, "waiting", "", self.clock(), self.clock())
        else:
            self._end(task, "failed", "pipemon ended while it ran; look whether it was done")


@asynccontextmanager
async def working(
    settings: Settings, say: Callable[[str], None], ended: Callable[[Task, State], object] = lambda task, state: None
) -> AsyncIterator[Worker]:
    """Give a worker that works while the block runs; what runs at its end has twenty seconds.

    `say` prints a line, `ended` is told how each task ended. Raises OptionError for a queue that can't be used.
    """
    queue = Queue(settings.queue)
    worker = Worker(settings, queue, Measures(queue.length), say, ended)
    stop = asyncio.Event()
    work = asyncio.create_task(worker.work(stop))
    try:
        yield worker
    finally:
        stop.set()
        worker.wake()
        await asyncio.wait([work], timeout=_LONGEST_END)
        work.cancel()
        await asyncio.wait([work])
        queue.close()
