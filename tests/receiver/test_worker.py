"""What the receiver does about an alert: commands that run, requests that are sent, and when neither is."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from notifications import NOW, firing, resolved, stamp, told

from pipemon.errors import UnavailableError
from pipemon.receiver.actions import Action, Asked
from pipemon.receiver.lines import sentence
from pipemon.receiver.measures import Measures
from pipemon.receiver.queue import Queue
from pipemon.receiver.server import listening
from pipemon.receiver.worker import Settings, Worker

VAD, ASR = Asked("speech", "rollback", "vad"), Asked("speech", "retrain", "asr")


class Desk:
    """A worker on a clock of its own, with what it said."""

    def __init__(
        self, action: Action | None = None, asked: Asked = VAD, queue: Queue | None = None, **more: Any
    ) -> None:
        self.now, self.lines = NOW, list[str]()
        self.queue = queue or Queue()
        self.measures = Measures(self.queue.length)
        self.worker = Worker(
            Settings(actions={asked: action} if action else {}, **more),
            self.queue,
            self.measures,
            lambda text: self.lines.append(text[20:]),
            clock=lambda: self.now,
        )

    def tell(self, *alerts: dict[str, Any]) -> None:
        self.queue.take(told(*alerts), self.now, self.worker.wanted)

    async def work(self) -> list[str]:
        """Do what is due, and return what was said about it."""
        said = len(self.lines)
        stop = asyncio.Event()
        working = asyncio.create_task(self.worker.work(stop))
        kinds = ("annotate", "end_annotation", "annotate_action", "rollback", "retrain")
        async with asyncio.timeout(30):
            while self._is_busy(kinds):
                await asyncio.sleep(0.01)
        stop.set()
        self.worker.wake()
        await working
        return self.lines[said:]

    def _is_busy(self, kinds: tuple[str, ...]) -> bool:
        tasks = [task for _, _, tasks in self.queue.latest(100) for task in tasks if task.kind in kinds]
        return any(task.state == "running" or (task.state == "waiting" and task.due <= self.now) for task in tasks)

    def counted(self) -> dict[str, int]:
        lines = self.measures.text().decode().splitlines()
        found = (
            line.removeprefix("pipemon_receiver_actions_total").split() for line in lines if "actions_total{" in line
        )
        return {labels: int(float(value)) for labels, value in found if float(value)}


def python(code: str) -> Action:
    return Action((sys.executable, "-c", code))


async def test_a_command_runs_once_and_knows_the_alert_by_its_environment(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    code = f"import json, os; json.dump(dict(os.environ), open({str(out)!r}, 'x')); print('one'); print('undone')"
    desk = Desk(python(code))
    hostile = firing("$(touch /tmp/x); `id`", version="1.5.0", cluster="eu\n--force")
    desk.tell(hostile, hostile)
    (line,) = await desk.work()
    assert line == "ROLLBACK speech/vad for $(touch /tmp/x); `id`: done: undone (in 1s)"
    told = json.loads(out.read_text())
    assert told["PIPEMON_ACTION"] == "rollback"
    assert (told["PIPEMON_PIPELINE"], told["PIPEMON_STAGE"], told["PIPEMON_VERSION"]) == ("speech", "vad", "1.5.0")
    assert (told["PIPEMON_FAILURE_MODE"], told["PIPEMON_LABEL_CLUSTER"]) == ("$(touch /tmp/x); `id`", "eu --force")
    desk.tell(hostile)
    assert await desk.work() == []
    assert desk.counted() == {'{action="rollback",result="done"}': 1}


async def test_an_action_is_not_done_again_soon_whichever_alert_asks(tmp_path: Path) -> None:
    desk = Desk(python("pass"))
    desk.tell(firing("first"), firing("second"))
    assert await desk.work() == [
        "ROLLBACK speech/vad for first: done: (in 1s)",
        "ROLLBACK speech/vad for second: skipped: begun 1s ago for first, and at most once in 1h",
    ]
    desk.now += 3601
    desk.tell(firing("third"))
    assert await desk.work() == ["ROLLBACK speech/vad for third: done: (in 1s)"]


async def test_places_that_the_file_tells_apart_have_each_their_own_time() -> None:
    desk = Desk(replace(python("pass"), by=("cluster",)))
    desk.tell(firing(cluster="eu"), firing(cluster="us"))
    assert sorted(await desk.work()) == [
        "ROLLBACK speech/vad/eu for vad-cuts: done: (in 1s)",
        "ROLLBACK speech/vad/us for vad-cuts: done: (in 1s)",
    ]


async def test_a_command_that_fails_is_not_tried_again_unless_the_file_says_so() -> None:
    desk = Desk(python("import sys; print('no such deployment'); sys.exit(3)"))
    desk.tell(firing())
    assert await desk.work() == ["ROLLBACK speech/vad for vad-cuts: failed: exit code 3: no such deployment (in 1s)"]
    # It did not succeed, so the next alert may ask for it at once.
    desk.tell(firing("other"))
    assert "failed: exit code 3" in (await desk.work())[0]


async def test_a_command_that_takes_too_long_is_killed_with_what_it_started(tmp_path: Path) -> None:
    late = tmp_path / "late"
    child = f"import time; time.sleep(1.5); open({str(late)!r}, 'x')"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    desk = Desk(replace(python(code), timeout=0.5))
    desk.tell(firing())
    assert await desk.work() == ["ROLLBACK speech/vad for vad-cuts: failed: it took longer than 500ms (in 1s)"]
    await asyncio.sleep(1.5)
    assert not late.exists()


async def test_a_command_that_is_not_there_is_told() -> None:
    desk = Desk(Action(("no-such-program",)))
    desk.tell(firing())
    (line,) = await desk.work()
    assert "failed: cannot run no-such-program: No such file or directory" in line


@contextlib.asynccontextmanager
async def deployer(*answers: int) -> AsyncIterator[tuple[str, list[tuple[dict[str, str], dict[str, Any]]]]]:
    """A server that answers POST with these, then 200; its address and what it was sent."""
    got: list[tuple[dict[str, str], dict[str, Any]]] = []
    left = list(answers)

    async def post(request: web.Request) -> web.Response:
        got.append((dict(request.headers), await request.json()))
        return web.Response(status=left.pop(0) if left else 200, text="queued\n", headers={"Location": "/elsewhere"})

    app = web.Application()
    app.add_routes([web.post("/retrain", post), web.get("/elsewhere", post)])
    async with listening(app, "127.0.0.1", 0) as port:
        yield f"http://127.0.0.1:{port}/retrain", got


async def test_a_url_gets_the_alert_a_key_and_the_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret-of-the-deployer\n")
    async with deployer() as (url, got):
        desk = Desk(Action(url=url, token_file=tmp_path / "token"), ASR)
        desk.tell(firing("drifted", then="retrain asr", version="1.4.0", cluster="eu"))
        assert await desk.work() == ["RETRAIN speech/asr for drifted: done: 200: queued (in 1s)"]
    ((headers, sent),) = got
    assert headers["Authorization"] == "Bearer secret-of-the-deployer"
    assert headers["Idempotency-Key"] == sent["key"]
    assert {name: sent[name] for name in ("action", "pipeline", "stage", "version", "failure_mode", "started")} == {
        "action": "retrain",
        "pipeline": "speech",
        "stage": "asr",
        "version": "1.4.0",
        "failure_mode": "drifted",
        "started": stamp(NOW),
    }
    assert sent["labels"]["cluster"] == "eu"


async def test_a_server_that_is_away_is_asked_again_with_the_same_key() -> None:
    async with deployer(503, 429) as (url, got):
        desk = Desk(Action(url=url, attempts=3), ASR)
        desk.tell(firing(then="retrain asr"))
        assert await desk.work() == ["RETRAIN speech/asr for vad-cuts: failed, tried again in 10s: 503: queued (in 1s)"]
        assert await desk.work() == []
        desk.now += 10
        assert "tried again in 30s: 429" in (await desk.work())[0]
        desk.now += 30
        assert "done: 200" in (await desk.work())[0]
    assert len({headers["Idempotency-Key"] for headers, _ in got}) == 1
    assert len(got) == 3


@pytest.mark.parametrize("status", [400, 404, 302])
async def test_a_server_that_refuses_is_not_asked_again_nor_followed(status: int) -> None:
    async with deployer(status) as (url, got):
        desk = Desk(Action(url=url, attempts=3), ASR)
        desk.tell(firing(then="retrain asr"))
        assert await desk.work() == [f"RETRAIN speech/asr for vad-cuts: failed: {status}: queued (in 1s)"]
    assert len(got) == 1


async def test_attempts_end() -> None:
    async with deployer(500, 500) as (url, _):
        desk = Desk(Action(url=url, attempts=2), ASR)
        desk.tell(firing(then="retrain asr"))
        await desk.work()
        desk.now += 10
        assert await desk.work() == ["RETRAIN speech/asr for vad-cuts: failed: 500: queued (in 1s)"]


async def test_what_has_resolved_or_has_no_action_is_left() -> None:
    desk = Desk(python("pass"))
    desk.tell(firing())
    desk.tell(resolved())
    assert await desk.work() == ["ROLLBACK speech/vad for vad-cuts: skipped: the alert has resolved"]
    other = Desk(python("pass"), ASR)
    other.tell(firing())
    assert await other.work() == []
    assert other.queue.length() == 0


async def test_a_dry_run_only_says_what_would_be_done() -> None:
    desk = Desk(Action(("kubectl", "rollout", "undo", "deployment/vad")), dry_run=True)
    desk.tell(firing())
    assert await desk.work() == [
        "ROLLBACK speech/vad for vad-cuts: skipped: would do: kubectl rollout undo deployment/vad"
    ]


async def test_after_a_crash_a_command_is_not_run_blindly_and_a_request_is_sent_again(tmp_path: Path) -> None:
    queue = Queue(tmp_path / "queue")
    Desk(python("pass"), queue=queue).tell(firing())
    assert queue.begin(("rollback",), NOW)
    queue.close()
    desk = Desk(python("pass"), queue=Queue(tmp_path / "queue"))
    assert await desk.work() == [
        "ROLLBACK speech/vad for vad-cuts: failed: pipemon ended while it ran; look whether it was done"
    ]
    async with deployer() as (url, got):
        desk = Desk(Action(url=url), ASR, Queue(tmp_path / "other"))
        desk.tell(firing(then="retrain asr"))
        assert (task := desk.queue.begin(("retrain",), NOW)) is not None
        assert "done: 200" in (await desk.work())[0]
    assert got[0][0]["Idempotency-Key"] == task.key


class Marks:
    """Where annotations are kept; raises while it is away."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, list[str], float, float | None]] = []
        self.away = False

    def annotate(self, text: str, tags: list[str], start: float) -> int:
        self._answer()
        self.kept.append((text, tags, start, None))
        return len(self.kept) - 1

    def annotation(self, text: str, tags: list[str], start: float) -> int | None:
        self._answer()
        return next((n for n, kept in enumerate(self.kept) if kept[:3] == (text, tags, start)), None)

    def end_annotation(self, number: int, end: float) -> None:
        self._answer()
        self.kept[number] = (*self.kept[number][:3], end)

    def _answer(self) -> None:
        if self.away:
            raise UnavailableError("Grafana can't be reached")


async def test_alerts_and_actions_are_marked_and_an_end_waits_for_its_begin() -> None:
    marks = Marks()
    desk = Desk(python("print('undone')"), annotations=marks)
    marks.away = True
    desk.tell(firing())
    assert [line for line in await desk.work() if "ANNOTATE" in line] == [
        "ANNOTATE speech/vad for vad-cuts: failed, tried again in 10s: Grafana can't be reached",
        "ANNOTATE ACTION speech/vad for vad-cuts: failed, tried again in 10s: Grafana can't be reached",
    ]
    desk.tell(resolved(end=NOW + 60))
    await desk.work()
    assert marks.kept == []
    marks.away = False
    for _ in range(4):
        desk.now += 30
        await desk.work()
    alert, action = sorted(marks.kept, key=lambda kept: kept[0].startswith("ROLLBACK"))
    assert alert[0] == "FIRING critical speech/vad vad-cuts: null outputs 31%. Do: Look. Then: rollback vad."
    assert alert[1:] == (["pipemon", "speech", "vad", "vad-cuts", "critical"], NOW, NOW + 60)
    assert action[0] == "ROLLBACK speech/vad for vad-cuts: done: undone (in 1s)"
    assert action[1] == ["pipemon", "speech", "vad", "action", "rollback"]
    assert desk.queue.length() == 0


async def test_a_mark_whose_answer_was_lost_is_not_made_twice(tmp_path: Path) -> None:
    marks = Marks()
    queue = Queue(tmp_path / "queue")
    desk = Desk(queue=queue, annotations=marks)
    desk.tell(firing())
    task = queue.begin(("annotate",), NOW)
    assert task is not None
    marks.annotate(sentence(task.alert), ["pipemon", "speech", "vad", "vad-cuts", "critical"], NOW)
    queue.close()
    again = Desk(queue=Queue(tmp_path / "queue"), annotations=marks)
    await again.work()
    assert len(marks.kept) == 1
    assert again.queue.length() == 0


async def test_one_task_that_cannot_be_done_keeps_no_other_from_it(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Marks):
        def annotate(self, text: str, tags: list[str], start: float) -> int:
            if "first" in text:
                raise TypeError("a fault of ours")
            return super().annotate(text, tags, start)

    marks = Broken()
    desk = Desk(annotations=marks)
    desk.tell(firing("first"), firing("second"))
    assert await desk.work() == ["ANNOTATE speech/vad for first: failed: TypeError: a fault of ours"]
    assert len(marks.kept) == 1
    assert "A task could not be done" in caplog.text
