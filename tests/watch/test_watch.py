"""`pipemon watch` against a real process and a real Prometheus."""

from __future__ import annotations

import os
import pty
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from command_line import pipemon
from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server
from real_servers import running_prometheus, until

from pipemon import Pipeline
from pipemon.demo.processes import children, free_ports, start
from pipemon.errors import OptionError
from pipemon.generate.output import Options, generate
from pipemon.watch.command import look
from pipemon.watch.reading import Reading
from pipemon.watch.sources import Server
from pipemon.watch.state import state

SERVICE = """\
import sys, time, pipemon
speech = pipemon.Pipeline("speech", version="1", budget="500ms")

@speech.stage("vad", budget="50ms")
def vad(call):
    return None if call % 2 else call

@speech.stage("asr", after="vad")
def asr(call):
    return call

@speech.run
def answer(call):
    return asr(vad(call))

pipemon.expose(port=int(sys.argv[1]))
call = 0
while True:
    call += 1
    answer(call)
    time.sleep(0.005)
"""
SPEC = """\
pipeline: speech
owner: speech-team
stages: {vad: {budget: 50ms}, asr: {after: vad}}
failure_modes:
  vad-cuts: {what: The VAD returns nothing, stage: vad, signal: null_ratio, above: 5%, severity: page}
"""
NOT_DECORATED = """\
pipeline: speech
scrape_interval: 5s
stages:
  vad: {calls: hears_total}
  asr:
    after: vad
    budget: 300ms
    calls: requests_total
    failures: errors_total
    duration: {histogram: request_seconds, bounds: [100ms, 300ms, 1s]}
failure_modes:
  asr-fails: {what: The model server fails, stage: asr, signal: error_ratio}
"""


def _listens(port: int) -> bool:
    with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("service")
    (folder / "service.py").write_text(SERVICE)
    (port,) = free_ports(1)
    with children() as started:
        command = [sys.executable, str(folder / "service.py"), str(port)]
        started.append(start("service", command, folder / "service.log"))
        until(lambda: _listens(port), "the service listens")
        yield f"http://127.0.0.1:{port}/metrics"


def test_one_picture_of_a_real_process(service: str) -> None:
    ended = pipemon("watch", service, "--once", "--every", "500ms")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[0].startswith("speech  ")
    (vad,) = [line for line in lines if " vad " in line]
    assert vad.startswith("▶ vad")
    assert 45 <= float(vad.split()[4].rstrip("%")) <= 55
    assert any("└─asr" in line for line in lines)


def test_failure_modes_tell_what_would_fire(service: str, tmp_path: Path) -> None:
    (tmp_path / "speech.yaml").write_text(SPEC)
    ended = pipemon("watch", service, "--once", "--every", "1s", "--spec", str(tmp_path / "speech.yaml"))
    assert "WOULD FIRE critical vad/vad-cuts\n" in ended.out


def test_without_a_terminal_it_prints_picture_after_picture_until_it_is_interrupted(service: str) -> None:
    command = [sys.executable, "-m", "pipemon", "watch", service, "--every", "200ms"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stdout is not None
    seen = 0
    while seen < 2:
        seen += running.stdout.readline().startswith("speech ")
    running.send_signal(signal.SIGINT)
    rest, told = running.communicate(timeout=120)
    assert (running.returncode, told, "\x1b" in rest) == (0, "", False)


def test_on_a_terminal_it_leaves_the_screen_as_it_was(service: str) -> None:
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "pipemon", "watch", service, "--every", "200ms"]
    running = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    said = b""
    while b"vad" not in said:
        said += os.read(ours, 65536)
    running.send_signal(signal.SIGINT)
    with suppress(OSError):  # the other side is closed
        while more := os.read(ours, 65536):
            said += more
    os.close(ours)
    assert running.wait(timeout=120) == 0
    assert said.count(b"\x1b[?1049h") == said.count(b"\x1b[?1049l") == 1
    assert b"\x1b[31m" not in said
    assert b"Traceback" not in said


def test_an_address_where_nothing_is_ends_it_with_a_sentence() -> None:
    (port,) = free_ports(1)
    ended = pipemon("watch", f"http://127.0.0.1:{port}/metrics")
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert "can't be reached" in ended.err


def test_a_pipeline_that_is_not_there_is_told_with_the_nearest_that_is(service: str) -> None:
    ended = pipemon("watch", service, "--pipeline", "speach")
    assert (ended.code, ended.err) == (
        2,
        f"pipemon: there is nothing of the pipeline speach at {service}; did you mean 'speech'?\n",
    )


@pytest.mark.parametrize(
    ("reading", "words"),
    [
        (
            Reading(0, 60, {}, {}, seen=frozenset()),
            "No failure mode's rule is loaded there: nothing can fire. Lit: over",
        ),
        (Reading(0, 60, {}, {}, (), seen=frozenset()), "What fires is Prometheus' word."),
        (Reading(0, 60, {}, {}), "Lit: over 5% errors or null outputs, or p99 over budget; --spec names"),
    ],
)
def test_whose_word_it_is_that_something_is_wrong_is_told(reading: Reading, words: str) -> None:
    class Given:
        url = "http://here"

        def read(self) -> Reading:
            return reading

    assert look(Given(), (), "").judged_by.startswith(words)


@pytest.mark.integration
def test_a_prometheus_tells_all_replicas_and_what_fires(service: str, tmp_path: Path) -> None:
    target = service.removeprefix("http://").removesuffix("/metrics")
    labels = {"pipeline": "speech", "stage": "vad", "failure_mode": "vad-cuts", "severity": "critical"}
    rule = {"alert": "SpeechVadCuts", "expr": "vector(1)", "labels": labels}
    registry = CollectorRegistry()
    chain = Pipeline("chain", version="1", registry=registry)

    @chain.stage("hear")
    def hear(call: int) -> int:
        return call

    @chain.stage("tell", after="hear")
    def tell(call: int) -> int:
        return call

    tell(hear(1))
    server, thread = start_http_server(0, "127.0.0.1", registry)
    config = {
        "global": {"scrape_interval": "500ms", "evaluation_interval": "500ms"},
        "rule_files": ["rules.yml"],
        "scrape_configs": [
            {"job_name": "speech", "static_configs": [{"targets": [target]}]},
            {"job_name": "chain", "static_configs": [{"targets": [f"127.0.0.1:{server.server_port}"]}]},
        ],
    }
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "one", "rules": [rule]}]}))
    with running_prometheus(yaml.safe_dump(config), tmp_path) as prometheus:
        source = Server(prometheus.url, 10.0)
        until(lambda: source.read().total("pipemon_stage_calls_total", stage="vad") > 50, "calls in Prometheus")
        until(lambda: source.read().alerts, "the alert")
        until(lambda: ("chain", "tell") in (source.read().seen or ()), "the other pipeline")
        server.shutdown()
        server.server_close()
        thread.join()
        short = Server(prometheus.url, 2.0)
        until(lambda: not short.read().series("pipemon_stage_calls_total", pipeline="chain"), "nothing new of it")
        assert [(s.name, s.depth, s.gone) for s in state(short.read(), "chain", ()).stages] == [
            ("hear", 0, True),
            ("tell", 1, True),
        ]
        # Four scrapes are less than a minute, and one is too little.
        assert Server(prometheus.url, None).read().seconds == 60
        with pytest.raises(OptionError, match=r"--over 600ms is less than two scrapes of 500ms; give 2s"):
            Server(prometheus.url, 0.6).read()
        began = time.time()
        ended = pipemon("watch", prometheus.url, "--once", "--over", "10s")
        assert ended.code == 0
        assert "FIRING critical vad/vad-cuts for " in ended.out
        (vad,) = [line for line in ended.out.splitlines() if line.startswith("▶ vad")]
        assert 45 <= float(vad.split()[4].rstrip("%")) <= 55
        (alert,) = source.read().alerts or ()
        assert alert.since is not None
        assert began - 30 < alert.since < time.time()


@pytest.mark.integration
def test_stages_that_are_not_decorated_are_watched_by_what_the_rules_record(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    calls, failures = (Counter(name, "", registry=registry) for name in ("requests", "errors"))
    hears = Counter("hears", "", registry=registry)
    seconds = Histogram("request_seconds", "", buckets=(0.1, 0.3, 1.0), registry=registry)
    server, thread = start_http_server(0, "127.0.0.1", registry)

    def called() -> bool:
        for counter in (hears, calls, calls, failures):
            counter.inc()
        seconds.observe(0.2)
        return Server(prometheus.url, 5.0).read().total("pipemon_stage_failures_total", stage="asr") > 10

    spec = tmp_path / "speech.yaml"
    spec.write_text(NOT_DECORATED)
    generate([spec], tmp_path, Options(time_scale=10, targets=(f"127.0.0.1:{server.server_port}",)))
    try:
        with running_prometheus((tmp_path / "prometheus.yml").read_text(), tmp_path) as prometheus:
            until(called, "calls as the rules record them")
            more = ((), ("--spec", str(spec)))
            # Nobody calls meanwhile, and a machine may take its time to start a command.
            told = [pipemon("watch", prometheus.url, "--once", "--over", "1m", *each).out for each in more]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    # The columns behind the name: calls a second, errors, null outputs, p50, p99 of the budget, running.
    alone, declared = (re.findall(r"^.*?(└─)?asr  +(.*)$", out, re.MULTILINE)[0] for out in told)
    assert (alone[0], declared[0]) == ("", "└─")
    # Half of the calls fail; null outputs and calls under way are what its service does not export.
    for columns in (alone[1].split(), declared[1].split()):
        assert 49 <= float(columns[1].rstrip("%")) <= 51
        assert columns[2] == "-"
    assert re.search(r"\d ms  +-$", alone[1].rstrip())
    assert re.search(r"\d ms of 300 ms  +-$", declared[1].rstrip())
