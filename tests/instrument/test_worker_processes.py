"""prometheus_client's multiprocess mode with workers that run at once, end, and are killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SERVICE = """
import json
import multiprocessing
import os
import signal
import sys
import time

import prometheus_client
from prometheus_client import multiprocess

import pipemon
from pipemon.features import value
from pipemon.instrument.exporter import exporter_for

speech = pipemon.Pipeline("speech", budget="1s")


@speech.stage(output=value("two"), workers=4)
def vad(hangs):
    while hangs:
        time.sleep(1)
    return 2


@speech.run
def answer(hangs=False):
    return vad(hangs)


def work(calls):
    for _ in range(calls):
        answer()


def hang(calls):
    work(calls)
    answer(hangs=True)


def scrape():
    registry = prometheus_client.CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    return {
        sample.name: sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.labels.get("stage", "vad") == "vad" and sample.labels.get("sign", "positive") == "positive"
    }


def wait_for(expected):
    deadline = time.monotonic() + 30
    while not expected.items() <= scrape().items():
        assert time.monotonic() < deadline, scrape()
        time.sleep(0.05)


if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    if sys.argv[1] == "fork":
        answer()  # in the buffer when the workers begin
    workers = [context.Process(target=work, args=(100,)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    exporter_for(prometheus_client.REGISTRY).flush_all()
    ended = scrape()
    killed = context.Process(target=hang, args=(10,))
    killed.start()
    calls = ended["pipemon_stage_calls_total"] + 10
    wait_for({
        "pipemon_stage_calls_total": calls,
        "pipemon_stage_in_progress": 1,
        "pipemon_pipeline_runs_total": calls,
        "pipemon_pipeline_in_progress": 1,
    })
    killed.kill()
    killed.join()
    multiprocess.mark_process_dead(killed.pid)
    print(json.dumps([ended, scrape()]))
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_multiprocessing_lose_nothing_at_their_end_and_nothing_twice(tmp_path: Path, method: str) -> None:
    service, files = tmp_path / "service.py", tmp_path / "files"
    service.write_text(SERVICE, encoding="utf-8")
    files.mkdir()
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "PROMETHEUS_MULTIPROC_DIR": str(files),
    }
    done = subprocess.run(
        [sys.executable, str(service), method], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    ended, after = json.loads(done.stdout)
    calls = {
        "pipemon_stage_calls_total": 1,
        "pipemon_stage_duration_seconds_count": 1,
        "pipemon_feature_value_count": 1,
        "pipemon_feature_sum_total": 2,
        "pipemon_pipeline_runs_total": 1,
    }
    for seen, times in ((ended, 301 if method == "fork" else 300), (after, 311 if method == "fork" else 310)):
        assert {name: seen[name] for name in calls} == {name: times * weight for name, weight in calls.items()}
        assert seen["pipemon_stage_in_progress"] == seen["pipemon_pipeline_in_progress"] == 0
        assert seen["pipemon_pipeline_budget_seconds"] == 1
        # Of each process that called the stage and was not marked dead: the forked ones' parent did, too.
        assert seen["pipemon_stage_workers"] == (16 if method == "fork" else 12)
