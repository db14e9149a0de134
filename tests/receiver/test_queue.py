"""The queue: nothing told is lost, nothing is asked for twice, whatever comes in which order."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from notifications import NOW, firing, resolved, told

from pipemon.errors import OptionError
from pipemon.receiver import queue as module
from pipemon.receiver.actions import asked_for
from pipemon.receiver.payload import Alert
from pipemon.receiver.queue import Queue

KINDS = ("annotate", "end_annotation", "rollback")


def wanted(alert: Alert) -> list[tuple[str, str]]:
    """A mark of each alert, and the action that it asks for."""
    asked = asked_for(alert)
    return [("annotate", ""), *([(asked.name, f"{asked.pipeline}/{asked.stage}")] if asked else [])]


def drained(queue: Queue, now: float = NOW) -> list[tuple[str, str]]:
    """The kinds and failure modes of all that is due, done at once."""
    found = []
    while task := queue.begin(KINDS, now):
        queue.end(task, "done", "", now)
        found.append((task.kind, task.alert.failure_mode))
    return found


def test_a_new_alert_brings_its_tasks_and_a_repeat_none() -> None:
    queue = Queue()
    queue.take(told(firing()), NOW, wanted)
    assert drained(queue) == [("annotate", "vad-cuts"), ("rollback", "vad-cuts")]
    queue.take(told(firing()), NOW + 3600, wanted)
    queue.take(told(firing(start=NOW + 7)), NOW + 3601, wanted)  # from the other Prometheus of a pair
    assert drained(queue, NOW + 3601) == []


def test_an_alert_that_resolved_is_a_new_one_when_it_fires_again() -> None:
    queue = Queue()
    queue.take(told(firing()), NOW, wanted)
    queue.take(told(resolved(end=NOW + 60)), NOW + 60, wanted)
    assert drained(queue, NOW + 60) == [
        ("annotate", "vad-cuts"), ("rollback", "vad-cuts"), ("end_annotation", "vad-cuts"),
    ]  # fmt: skip
    queue.take(told(firing(start=NOW + 90)), NOW + 90, wanted)
    assert drained(queue, NOW + 90) == [("annotate", "vad-cuts"), ("rollback", "vad-cuts")]


def test_one_that_was_only_out_of_sight_goes_on() -> None:
    queue = Queue()
    queue.take(told(firing()), NOW, wanted)
    drained(queue)
    # Prometheus was away, so Alertmanager took it for resolved; then it is told as firing since before.
    queue.take(told(resolved(end=NOW + 300)), NOW + 300, wanted)
    assert drained(queue, NOW + 300) == [("end_annotation", "vad-cuts")]
    queue.take(told(firing(start=NOW)), NOW + 400, wanted)
    assert drained(queue, NOW + 400) == []
    ((_, ended, _),) = queue.latest(10)
    assert ended is None
    queue.take(told(resolved(end=NOW + 900)), NOW + 900, wanted)
    assert drained(queue, NOW + 900) == [("end_annotation", "vad-cuts")]


def test_what_resolved_and_was_never_told_brings_nothing() -> None:
    queue = Queue()
    queue.take(told(resolved()), NOW, wanted)
    assert queue.latest(10) == []


def news(queue: Queue, *alerts: dict[str, Any]) -> list[tuple[str, str]]:
    return [(alert.failure_mode, alert.status) for alert in queue.take(told(*alerts), NOW, wanted)]


def test_of_a_group_that_is_told_whole_each_time_only_what_began_or_ended_is_news() -> None:
    queue = Queue()
    assert news(queue, firing("a")) == [("a", "firing")]
    assert news(queue, firing("a"), firing("b")) == [("b", "firing")]
    assert news(queue, firing("a"), firing("b")) == []
    assert news(queue, resolved("a"), firing("b")) == [("a", "resolved")]
    # Alertmanager tells the end of one until all have ended, and that of one whose beginning it held back.
    assert news(queue, resolved("a"), resolved("b"), resolved("held-back")) == [("b", "resolved")]
    assert news(queue, firing("a", start=NOW + 90)) == [("a", "firing")]


def test_what_was_told_before_a_restart_is_no_news_after_it(tmp_path: Path) -> None:
    queue = Queue(tmp_path / "queue.sqlite")
    assert news(queue, firing("a")) == [("a", "firing")]
    queue.close()
    assert news(Queue(tmp_path / "queue.sqlite"), firing("a"), firing("b")) == [("b", "firing")]


def test_a_restart_keeps_all_and_tells_what_was_broken_off(tmp_path: Path) -> None:
    path = tmp_path / "queue.sqlite"
    queue = Queue(path)
    queue.take(told(firing()), NOW, wanted)
    assert (task := queue.begin(("rollback",), NOW)) is not None
    queue.close()
    again = Queue(path)
    (broken,) = again.broken_off()
    assert (broken.key, broken.attempts, broken.state) == (task.key, 1, "running")
    assert broken.alert == told(firing()).alerts[0]
    assert drained(again) == [("annotate", "vad-cuts")]
    assert again.length() == 1


def test_a_notification_is_kept_as_a_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue()
    monkeypatch.setattr(module, "MOST_ALERTS", 2)
    queue.take(told(firing("a"), firing("b")), NOW, wanted)
    with pytest.raises(OSError, match="the queue is full"):
        queue.take(told(firing("c"), firing("d")), NOW, wanted)
    assert {alert.failure_mode for alert, _, _ in queue.latest(10)} == {"a", "b"}
    queue.take(told(resolved("a")), NOW, wanted)
    drained(queue)
    queue.take(told(firing("c")), NOW, wanted)
    assert {alert.failure_mode for alert, _, _ in queue.latest(10)} == {"b", "c"}


def test_what_is_long_over_is_forgotten() -> None:
    queue = Queue()
    queue.take(told(firing("a"), firing("b")), NOW, wanted)
    queue.take(told(resolved("a")), NOW + 60, wanted)
    drained(queue, NOW + 60)
    queue.take(told(firing("c")), NOW + 31 * 86_400, wanted)
    assert {alert.failure_mode for alert, _, _ in queue.latest(10)} == {"b", "c"}


def test_two_receivers_do_not_share_a_queue_nor_take_a_strangers_file(tmp_path: Path) -> None:
    path = tmp_path / "queue.sqlite"
    first = Queue(path)
    first.take(told(firing()), NOW, wanted)
    with pytest.raises(OptionError, match="another receiver has it"):
        Queue(path)
    (tmp_path / "text").write_text("no database, and long enough to be read as one" * 10)
    with pytest.raises(OptionError, match="file is not a database"):
        Queue(tmp_path / "text")
    other = sqlite3.connect(tmp_path / "other")
    other.execute("create table theirs (x)")
    other.close()
    with pytest.raises(OptionError, match="is no queue of this version"):
        Queue(tmp_path / "other")


class Deliveries(RuleBasedStateMachine):
    """Alerts that fire and resolve, told late, twice or by turns, with restarts between: each is acted on once."""

    @initialize()
    def begin(self) -> None:
        self.queue = Queue()
        self.now = NOW
        self.firing: dict[str, float] = {}
        self.episodes: dict[str, int] = {}
        self.done: dict[str, int] = {}

    modes = st.sampled_from(["a", "b"])

    @rule(mode=modes, passed=st.integers(1, 100))
    def fires(self, mode: str, passed: int) -> None:
        self.now += passed
        if mode not in self.firing:
            self.firing[mode] = self.now
            self.episodes[mode] = self.episodes.get(mode, 0) + 1
        self.queue.take(told(firing(mode, start=self.firing[mode])), self.now, wanted)

    @rule(mode=modes, times=st.integers(1, 3))
    def is_told_again(self, mode: str, times: int) -> None:
        if mode in self.firing:
            alert = firing(mode, start=self.firing[mode])
            for _ in range(times):
                self.queue.take(told(alert, alert), self.now, wanted)

    @rule(mode=modes, passed=st.integers(1, 100))
    def resolves(self, mode: str, passed: int) -> None:
        if mode in self.firing:
            self.now += passed
            start = self.firing.pop(mode)
            self.queue.take(told(resolved(mode, start=start, end=self.now)), self.now, wanted)
            # And a copy that was on its way.
            self.queue.take(told(firing(mode, start=start)), self.now, wanted)
            self.queue.take(told(resolved(mode, start=start, end=self.now)), self.now, wanted)

    @rule()
    def works(self) -> None:
        for kind, mode in drained(self.queue, self.now):
            if kind == "rollback":
                self.done[mode] = self.done.get(mode, 0) + 1

    @invariant()
    def nothing_is_done_more_often_than_it_fired(self) -> None:
        assert all(times <= self.episodes[mode] for mode, times in self.done.items())

    def teardown(self) -> None:
        self.works()
        assert self.done == self.episodes
        assert self.queue.length() == 0


TestDeliveries = Deliveries.TestCase
TestDeliveries.settings = settings(max_examples=25, stateful_step_count=15)
