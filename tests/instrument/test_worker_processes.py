# mypy: disable-error-code="no-untyped-call"
"""prometheus_client's multiprocess mode with workers that run at once, end, and are killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

ROOT = Path(__file__).resolve().parents[2]

SERVICE = """
import contextlib
import json
import multiprocessing
import os
import struct
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
    deadline = time.monotonic() + 120
    seen = {}
    while not expected.items() <= seen.items():
        assert time.monotonic() < deadline, seen
        time.sleep(0.05)
        with contextlib.suppress(struct.error):  # a file that its worker has only just made: empty
            seen = scrape()


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
    killed = context.Process(target=hang, args=(10,), daemon=True)
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
        [sys.executable, str(service), method],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
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


STEPS = """
import contextlib
import json
import os
import sys
import time

import pipemon
from pipemon.features import level_dbfs
from pipemon.instrument.background import flush_now
from pipemon.instrument.exposition.scrape import Scrapes

scrapes = Scrapes(None)


def worker(work):
    child = os.fork()
    if child == 0:
        try:
            work()
            flush_now()
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def scrape(accept=""):
    return scrapes.answer("GET", "", accept, "").body.decode()


def shown(name, **labels):
    samples = []
    for line in scrape().splitlines():
        if line.startswith(name + "{") and all(f'{key}="{value}"' in line for key, value in labels.items()):
            samples.append(float(line.rpartition(" ")[2]))
    return samples


def calls(budget="1s", times=1, **options):
    def work():
        speech = pipemon.Pipeline("speech", budget=budget)
        vad = speech.run(speech.stage("vad", budget=budget, workers=2, **options)(lambda: [0.5]))
        for _ in range(times):
            vad()
    return work
"""


def play(tmp_path: Path, steps: str) -> Any:
    """Play steps in a process without stages of its own, and return what it printed last."""
    (tmp_path / "files").mkdir()
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "files"),
    }
    done = subprocess.run(
        [sys.executable, "-c", STEPS + steps], env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_of_a_budget_and_a_model_the_latest_worker_s_holds(tmp_path: Path) -> None:
    seen = play(
        tmp_path,
        """
for budget, trained in (("2s", 2e9), ("1s", 1e9)):
    worker(calls(budget, model=pipemon.Model(code="v1", trained=trained)))
names = "pipemon_stage_budget_seconds", "pipemon_pipeline_budget_seconds", "pipemon_stage_trained_timestamp_seconds"
print(json.dumps([shown(name) for name in names]))
""",
    )
    assert seen == [[1], [1], [1e9]]


def test_a_worker_that_begins_without_calls_does_not_move_the_last_call(tmp_path: Path) -> None:
    seen = play(
        tmp_path,
        """
name = "pipemon_stage_last_call_timestamp_seconds"
seen = []
for times in (0, 1, 0):
    worker(calls(times=times))
    seen.append([at - time.time() for at in shown(name)])
    time.sleep(0.05)
    seen.append([at - time.time() for at in shown(name)])
print(json.dumps(seen))
""",
    )
    nothing, still_nothing, (called,), _, (later,), _ = seen
    assert nothing == still_nothing == []
    assert later <= called - 0.05


def test_dead_workers_are_not_at_work_for_a_process_without_stages_either(tmp_path: Path) -> None:
    seen = play(
        tmp_path,
        """
worker(calls())
print(json.dumps([shown("pipemon_stage_calls_total"), shown("pipemon_stage_workers")]))
""",
    )
    assert seen == [[1], []]


def test_however_many_workers_there_are_they_show_20_names_that_the_code_does_not_declare(tmp_path: Path) -> None:
    seen = play(
        tmp_path,
        """
def fails(number):
    @pipemon.Pipeline("speech").stage("vad")
    def vad(name, raises):
        if raises:
            raise type(name, (Exception,), {})
        pipemon.drop(name)

    for each in range(15):
        vad(f"E{number}_{each:02}", raises=False)
        with contextlib.suppress(Exception):
            vad(f"E{number}_{each:02}", raises=True)

seen = []
for number in (3, 2, 1):
    worker(lambda: fails(number))
    for name, label in (("exceptions", "exception"), ("drop_reasons", "reason")):
        name = f"pipemon_stage_{name}_total"
        seen.append([len(shown(name)), sum(shown(name)), sum(shown(name, **{label: "other"}))])
print(json.dumps(seen))
""",
    )
    assert seen == [[15, 15, 0], [15, 15, 0], [21, 30, 10], [21, 30, 10], [21, 45, 25], [21, 45, 25]]


def test_what_workers_show_is_valid_openmetrics_and_text(tmp_path: Path) -> None:
    openmetrics, text = play(
        tmp_path,
        """
for _ in range(2):
    worker(calls(output=level_dbfs()))
print(json.dumps([scrape("application/openmetrics-text"), scrape()]))
""",
    )
    for families in (list(parse_openmetrics(openmetrics)), list(parse_text(text))):
        samples = {
            (sample.name, sample.labels.get("le")): sample.value
            for family in families
            for sample in family.samples
            if family.name in ("pipemon_feature_value", "pipemon_stage_duration_seconds")
        }
        assert (
            samples["pipemon_feature_value_bucket", "+Inf"]
            == samples["pipemon_stage_duration_seconds_count", None]
            == 2
        )
        assert samples.keys() >= {("pipemon_stage_duration_seconds_sum", None)}
        assert not samples.keys() & {("pipemon_feature_value_count", None), ("pipemon_feature_value_sum", None)}
