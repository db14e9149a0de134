"""A real gunicorn through its orderly life: workers begin, serve, are replaced and end, and no call is lost."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families
from real_servers import until

from pipemon.demo.processes import Child, children, free_ports, start

SERVICE = """
import os
import pipemon

churn = pipemon.Pipeline("churn")
metrics = pipemon.wsgi_app()

@churn.stage("score")
def score(path):
    return path

@churn.run
def answer(path):
    return score(path)

def app(environ, start_response):
    if environ["PATH_INFO"] == "/metrics":
        return metrics(environ, start_response)
    answer("x")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""

CONFIG = """
from pipemon.integrations.gunicorn import *

bind = "127.0.0.1:{port}"
workers = 2
control_socket_disable = True
when_ready = metrics_server(port={metrics}, addr="127.0.0.1")
{more}
"""


@dataclass(frozen=True)
class Gunicorn:
    """One that runs; `port` serves the app and its /metrics, `metrics` those from the master."""

    child: Child
    port: int
    metrics: int

    def requests(self, number: int) -> set[str]:
        """Return the ids of the worker processes that answered."""
        with ThreadPoolExecutor(8) as pool:
            return set(pool.map(lambda _: self._get(f"{self.port}/"), range(number)))

    def scraped(self, port: int) -> dict[str, float]:
        return {
            sample.name: sample.value
            for family in text_string_to_metric_families(self._get(f"{port}/metrics"))
            for sample in family.samples
            if sample.labels.get("stage") == "score" or sample.name.startswith("pipemon_pipeline_runs")
        }

    def counted(self, calls: int) -> bool:
        """Tell whether both ways of scraping show exactly so many calls, none of them in progress."""
        expected = {
            "pipemon_stage_calls_total": calls,
            "pipemon_stage_items_in_total": calls,
            "pipemon_stage_duration_seconds_count": calls,
            "pipemon_pipeline_runs_total": calls,
            "pipemon_stage_in_progress": 0,
        }
        return all(expected.items() <= self.scraped(port).items() for port in (self.port, self.metrics))

    def answers(self) -> bool:
        return all(self._get(f"{port}/metrics") for port in (self.port, self.metrics))

    def _get(self, path: str) -> str:
        with urlopen(f"http://127.0.0.1:{path}", timeout=120) as response:
            text: str = response.read().decode()
            return text


@contextmanager
def running(
    folder: Path, more: str = "", ready: Callable[[Gunicorn], object] = Gunicorn.answers, **environment: str
) -> Iterator[Gunicorn]:
    port, metrics = free_ports(2)
    (folder / "service.py").write_text(SERVICE)
    (folder / "gunicorn.conf.py").write_text(CONFIG.format(port=port, metrics=metrics, more=more))
    (folder / "tmp").mkdir(exist_ok=True)
    inherited = {name: value for name, value in os.environ.items() if name != "PROMETHEUS_MULTIPROC_DIR"}
    # Python takes what it compiled of another start's file for this one, where both are as long and of one second.
    env = {**inherited, "TMPDIR": str(folder / "tmp"), "PYTHONDONTWRITEBYTECODE": "1", **environment}
    with children() as started:
        command = [sys.executable, "-m", "gunicorn", "service:app"]
        child = start("gunicorn", command, folder / "gunicorn.log", cwd=folder, env=env)
        started.append(child)
        gunicorn = Gunicorn(child, port, metrics)
        until(partial(_is, ready, gunicorn), "gunicorn")
        yield gunicorn


def _is(ready: Callable[[Gunicorn], object], gunicorn: Gunicorn) -> bool:
    gunicorn.child.check()
    try:
        return bool(ready(gunicorn))
    except OSError:
        return False


@pytest.mark.parametrize(
    "more", ["", "worker_class = 'gthread'\nthreads = 4", "preload_app = True"], ids=["sync", "gthread", "preloaded"]
)
def test_calls_of_all_workers_are_counted_exactly_over_a_graceful_restart(tmp_path: Path, more: str) -> None:
    with running(tmp_path, more) as gunicorn:
        before = gunicorn.requests(100)
        os.kill(gunicorn.child.process.pid, signal.SIGHUP)  # at once: what the workers have not flushed is not lost
        calls = 100
        while gunicorn.requests(1) <= before:
            calls += 1
            gunicorn.child.check()
        gunicorn.requests(50)
        until(partial(gunicorn.counted, calls + 51), f"{calls + 51} calls")


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    with running(tmp_path) as gunicorn:
        gunicorn.requests(1)
        (files,) = (tmp_path / "tmp").glob("pipemon-gunicorn-*")
        assert list(files.glob("counter_*.db"))
        gunicorn.child.stop(120)
        assert not files.exists()


def test_a_folder_of_ones_own_is_emptied_at_the_start_and_kept(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    for calls in (3, 5):
        with running(tmp_path, PROMETHEUS_MULTIPROC_DIR=str(folder)) as gunicorn:
            gunicorn.requests(calls)
            until(partial(gunicorn.counted, calls), "the calls of this start alone")
            gunicorn.child.stop(120)
        assert list(folder.glob("counter_*.db"))


def test_a_taken_port_for_the_metrics_leaves_gunicorn_alone_and_is_tried_again(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        more = f"when_ready = metrics_server(port={port}, addr='127.0.0.1')"
        with running(tmp_path, more, ready=lambda gunicorn: gunicorn.requests(1)) as gunicorn:
            taken.close()
            until(
                partial(_is, Gunicorn.answers, replace(gunicorn, metrics=port)),
                "the metrics at a port that is free again",
            )
    assert "can't be served at port" in (tmp_path / "gunicorn.log").read_text()


def test_disabled_it_does_nothing(tmp_path: Path) -> None:
    with running(tmp_path, ready=lambda gunicorn: gunicorn.requests(1), PIPEMON_DISABLED="1") as gunicorn:
        gunicorn.requests(1)
        assert not list((tmp_path / "tmp").glob("pipemon-gunicorn-*"))
