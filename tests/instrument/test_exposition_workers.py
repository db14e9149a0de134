"""Serving in prometheus_client's multiprocess mode: any worker shows all of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

WORKERS = """
import json, multiprocessing, sys, urllib.request
import prometheus_client
from prometheus_client import multiprocess
import pipemon
from pipemon.instrument.exposition.scrape import Scrapes

registry = prometheus_client.CollectorRegistry()
speech = pipemon.Pipeline("speech", registry=registry)
vad = speech.stage("vad")(lambda: 1)

def work():
    for _ in range(10):
        vad()

def count(text):
    return [line.split()[1] for line in text.splitlines() if line.startswith("pipemon_stage_calls_total{")]

def fetch(url):
    with urllib.request.urlopen(url, timeout=120) as response:
        return response.read().decode()

def app(given):
    return Scrapes(given).answer("GET", "", "", "").body.decode()

if __name__ == "__main__":
    workers = [multiprocessing.get_context("fork").Process(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    vad()  # in this worker's buffer
    server = pipemon.expose(0, addr="127.0.0.1", registry=registry)
    url = f"http://127.0.0.1:{server.port}/metrics"
    told = {"server": count(fetch(url)), "chosen": count(fetch(url + "?name[]=pipemon_stage_calls_total"))}
    vad()
    told["app"] = count(app(None))
    own = prometheus_client.CollectorRegistry()
    multiprocess.MultiProcessCollector(own)
    vad()
    told["own"] = count(app(own))
    vad()
    pipemon.write_textfile(sys.argv[1], registry)
    told["textfile"] = count(open(sys.argv[1]).read())
    pipemon.write_textfile(sys.argv[1], own)
    told["own textfile"] = count(open(sys.argv[1]).read())
    server.close()
    print(json.dumps(told))
"""


def run(code: str, *arguments: str, **environment: str) -> Any:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_every_way_out_shows_all_workers_and_this_ones_latest_calls(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    told = run(WORKERS, str(tmp_path / "speech.prom"), PROMETHEUS_MULTIPROC_DIR=str(tmp_path / "files"))
    assert told == {
        "server": ["21.0"],
        "chosen": ["21.0"],
        "app": ["22.0"],
        "own": ["23.0"],
        "textfile": ["24.0"],
        "own textfile": ["24.0"],
    }


def test_the_mode_is_what_it_was_when_prometheus_client_was_imported(tmp_path: Path) -> None:
    code = """
import json, os, sys
import prometheus_client
os.environ["PROMETHEUS_MULTIPROC_DIR"] = sys.argv[1]
from pipemon.instrument.exposition.scrape import Scrapes
prometheus_client.Gauge("answer", "The answer.").set(42)
print(json.dumps(Scrapes(None).answer("GET", "", "", "").body.decode()))
"""
    assert "answer 42.0" in run(code, str(tmp_path))


def test_a_process_forked_during_a_scrape_can_be_scraped() -> None:
    code = """
import json, os, threading
import prometheus_client
from pipemon.instrument.exposition.scrape import Scrapes

class Stuck:
    begun, let = threading.Event(), threading.Event()
    def collect(self):
        self.begun.set()
        self.let.wait(30)
        return []

registry = prometheus_client.CollectorRegistry()
registry.register(Stuck())
scrapes = Scrapes(registry)
thread = threading.Thread(target=scrapes.answer, args=("GET", "", "", ""))
thread.start()
Stuck.begun.wait(30)
Stuck.let = threading.Event()
child = os.fork()
if child == 0:
    Stuck.let.set()
    os._exit(0 if scrapes.answer("GET", "", "", "").status == 200 else 1)
print(json.dumps(os.waitpid(child, 0)[1]), flush=True)
os._exit(0)
"""
    code = code.replace(
        "print(json.dumps(os.waitpid(child, 0)[1]))", "print(json.dumps(os.waitpid(child, 0)[1]), flush=True)"
    )
    assert run(code) == 0
