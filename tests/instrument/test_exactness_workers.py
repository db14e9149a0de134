"""Every way to have worker processes: what they counted is on their shared folder when they ended in order."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

SERVICE = """
import json, multiprocessing, os, signal, sys, time
from concurrent.futures import ProcessPoolExecutor

import prometheus_client

import pipemon
from pipemon.features import value
from pipemon.instrument.exposition.source import source

speech = pipemon.Pipeline("speech")


@speech.stage(output=value("two"))
def vad(way=None):
    return 2 if way is None else way() or 2


@speech.stage
def asr(way):
    # Work that is under way in the parent while its children run.
    vad()
    return way()


def work(calls):
    for _ in range(calls):
        vad()
    return os.getpid()


def pool(method):
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as workers:
        list(workers.map(work, [100] * 3))


def multiprocessing_pool(method):
    with multiprocessing.get_context(method).Pool(2) as workers:
        workers.map(work, [100] * 3)
        workers.close()
        workers.join()


def forks(end):
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            work(100)
            end()
        children.append(child)
    for child in children:
        os.waitpid(child, 0)


def scrape():
    return {
        sample.name: sample.value
        for metric in source(None).collect()
        for sample in metric.samples
        if sample.labels.get("stage", "vad") == "vad" and sample.labels.get("sign", "positive") == "positive"
        and sample.labels.get("le", "+Inf") == "+Inf"
    }
"""

WAYS = {
    "an executor whose workers are forked": "pool('fork')",
    "an executor whose workers are spawned": "pool('spawn')",
    "an executor whose workers come from a fork server": "pool('forkserver')",
    "a pool of multiprocessing": "multiprocessing_pool('fork')",
    "os.fork": "forks(sys.exit)",
    "os.fork in a call": "asr(lambda: forks(sys.exit))",
    "an executor in a call": "asr(lambda: pool('fork'))",
}

Run = Callable[..., Mapping[str, float]]


def environment(files: Path) -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, "PROMETHEUS_MULTIPROC_DIR": str(files)}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a service in multiprocess mode, and return what its scrape shows at its end."""

    def run(code: str) -> Any:
        service, files = tmp_path / "service.py", tmp_path / "files"
        files.mkdir()
        end = f"\n\nif __name__ == '__main__':\n    {code}\n    sys.stdout.write(json.dumps(scrape()))\n"
        service.write_text(SERVICE + end, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-W", "error", str(service)],
            env=environment(files),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.rpartition("\n")[2])

    return run


def assert_exactly(seen: Mapping[str, float], calls: int) -> None:
    assert seen["pipemon_stage_calls_total"] == calls
    assert seen["pipemon_stage_items_out_total"] == calls
    assert seen["pipemon_stage_duration_seconds_count"] == calls
    assert seen["pipemon_feature_value_bucket"] == seen["pipemon_feature_observed_total"] == calls
    assert seen["pipemon_feature_sum_total"] == 2 * calls
    assert seen["pipemon_stage_in_progress"] == 0


@pytest.mark.parametrize("way", WAYS)
def test_workers_that_end_in_order_lose_nothing_and_count_nothing_twice(run: Run, way: str) -> None:
    # Beside the workers' 300: one of the parent before them, in its buffer when they begin, and one in the call.
    assert_exactly(run(f"vad(); {WAYS[way]}"), 301 + ("call" in way))


def test_a_worker_that_is_killed_loses_no_more_than_a_flush_interval(run: Run) -> None:
    code = "forks(lambda: (time.sleep(1.6), vad(), os.kill(os.getpid(), signal.SIGKILL)))"
    assert_exactly({**run(code), "pipemon_stage_in_progress": 0}, 300)


def test_the_calls_in_progress_of_a_killed_worker_are_no_longer_shown(run: Run) -> None:
    killed = "(time.sleep(1.6), os.kill(os.getpid(), signal.SIGKILL))"
    assert_exactly(run(f"forks(lambda: vad(lambda: {killed}))"), 300)


def test_a_worker_that_is_killed_before_its_file_has_a_size_breaks_no_scrape(run: Run) -> None:
    code = "vad(); open(os.environ['PROMETHEUS_MULTIPROC_DIR'] + '/histogram_4194304.db', 'w')"
    assert_exactly(run(code), 1)


CELERY = """
import os, time
import celery
import pipemon
from pipemon.instrument import background

background.INTERVAL = 3600  # so that only the end of a worker can flush
app = celery.Celery("speech")
app.conf.update(
    broker_url="filesystem://",
    broker_transport_options=dict.fromkeys(
        ("data_folder_in", "data_folder_out", "control_folder"), os.environ["QUEUE"]
    ),
    worker_hijack_root_logger=False,
    task_ignore_result=True,
)
speech = pipemon.Pipeline("speech")


@speech.stage
def vad():
    return 2


@app.task
def work(calls):
    for _ in range(calls):
        vad()
    with open(os.environ["DONE"], "a") as file:
        file.write("x")
"""


def test_a_celery_worker_that_is_stopped_loses_nothing_of_its_prefork_pool(tmp_path: Path) -> None:
    pytest.importorskip("celery")
    (tmp_path / "speech_tasks.py").write_text(CELERY, encoding="utf-8")
    (tmp_path / "queue").mkdir()
    (tmp_path / "files").mkdir()
    done = tmp_path / "done"
    told = environment(tmp_path / "files")
    told |= {"QUEUE": str(tmp_path / "queue"), "DONE": str(done)}
    told["PYTHONPATH"] = f"{tmp_path}{os.pathsep}{told['PYTHONPATH']}"
    send = "import speech_tasks; [speech_tasks.work.delay(100) for _ in range(4)]"
    subprocess.run([sys.executable, "-c", send], env=told, check=True, timeout=240)
    command = [sys.executable, "-m", "celery", "-A", "speech_tasks", "worker", "--pool=prefork", "--concurrency=2"]
    log = tmp_path / "log"
    with log.open("w") as file:
        worker = subprocess.Popen(command, env=told, cwd=tmp_path, stdout=file, stderr=file)
    try:
        deadline = time.monotonic() + 60
        while not (done.exists() and len(done.read_text()) == 4):
            assert worker.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        worker.send_signal(signal.SIGTERM)  # what its children did last is still in their buffers
        assert worker.wait(60) == 0, log.read_text()
    finally:
        worker.kill()
        worker.wait()
    scrape = """
import json
from pipemon.instrument.exposition.source import source
print(json.dumps([s.value for m in source(None).collect() for s in m.samples if s.name == "pipemon_stage_calls_total"]))
"""
    seen = subprocess.run(
        [sys.executable, "-c", scrape], env=told, check=True, capture_output=True, text=True, timeout=60
    )
    assert json.loads(seen.stdout) == [400]
