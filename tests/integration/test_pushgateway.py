"""Batch jobs push to a real Pushgateway, and outlive one that is not there."""

from __future__ import annotations

import gc
import logging
import socket
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trustme
from fetching import Answer, fetch
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import basic_auth_handler, tls_auth_handler
from real_servers import running_prometheus, running_pushgateway, until

import pipemon
from pipemon.demo.processes import free_ports
from pipemon.generate.output import Options, generate
from pipemon.watch.sources import Server

LAST_SUCCESS = "pipemon_batch_last_success_timestamp_seconds"
CALLS = "pipemon_stage_calls_total"
BCRYPT = "$2b$04$NnnuMcqaPakt/10mIEBEqOiVTU.oxa0NT5nSsp6/N83sskC2QvoOS"
"""Of the password s3cret."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_pushgateway(tmp_path_factory.mktemp("gateway")) as gateway:
        yield gateway


@pytest.fixture
def job(gateway: str, request: pytest.FixtureRequest) -> str:
    """A name of its own for each test's job."""
    return str(request.node.name)


def run_of(registry: CollectorRegistry) -> Any:
    """A stage as a new process of the job would declare it."""
    return pipemon.Pipeline("speech", registry=registry).stage("vad")(lambda: 1)


def at(gateway: str) -> Answer:
    return fetch(f"http://{gateway}/metrics")


pytestmark = pytest.mark.integration


def test_a_job_that_ends_well_pushes_its_values_and_the_time(gateway: str, job: str) -> None:
    before = time.time()
    registry = CollectorRegistry()
    vad = run_of(registry)
    with pipemon.batch_job(job, gateway=gateway, pipeline="speech", registry=registry):
        vad()
        vad()
    pushed = at(gateway)
    assert pushed.value(CALLS, job=job, instance="", stage="vad") == 2
    assert before <= pushed.value(LAST_SUCCESS, job=job, pipeline="speech") <= time.time()
    assert pushed.value("push_time_seconds", job=job) >= int(before)


def test_a_job_that_fails_pushes_its_values_and_leaves_the_time(gateway: str, job: str) -> None:
    good, bad = CollectorRegistry(), CollectorRegistry()
    with pipemon.batch_job(job, gateway=gateway, pipeline="speech", registry=good):
        run_of(good)()
    success = at(gateway).value(LAST_SUCCESS, job=job)
    vad = run_of(bad)
    error = RuntimeError("the disk is full")

    def nightly() -> None:
        with pipemon.batch_job(job, gateway=gateway, pipeline="speech", registry=bad):
            for _ in range(5):
                vad()
            raise error

    with pytest.raises(RuntimeError) as raised:
        nightly()
    assert raised.value is error
    assert at(gateway).value(CALLS, job=job, stage="vad") == 5
    assert at(gateway).value(LAST_SUCCESS, job=job) == success


def test_a_good_run_leaves_nothing_of_a_failed_one(gateway: str, job: str) -> None:
    bad, good = CollectorRegistry(), CollectorRegistry()

    def fail() -> None:
        raise RuntimeError

    broken = pipemon.Pipeline("speech", registry=bad).stage("broken")(fail)
    with pytest.raises(RuntimeError), pipemon.batch_job(job, gateway=gateway, pipeline="speech", registry=bad):
        broken()
    assert at(gateway).value("pipemon_stage_exceptions_total", job=job, exception="RuntimeError") == 1
    assert f'{LAST_SUCCESS}{{instance="",job="{job}"' not in at(gateway).body.decode()
    vad = run_of(good)
    vad()
    assert pipemon.push(gateway, job, pipeline="speech", registry=good)
    with pytest.raises(ValueError, match="not enough values"):
        at(gateway).value("pipemon_stage_exceptions_total", job=job)
    assert at(gateway).value(LAST_SUCCESS, job=job) > 0


@pytest.mark.parametrize(("code", "well"), [(None, True), (0, True), (1, False), ("no input", False)])
def test_a_job_may_end_by_exiting(gateway: str, job: str, code: int | str | None, well: bool) -> None:
    registry = CollectorRegistry()

    def nightly() -> None:
        with pipemon.batch_job(job, gateway=gateway, pipeline="speech", registry=registry):
            run_of(registry)()
            sys.exit(code)

    with pytest.raises(SystemExit) as exited:
        nightly()
    assert exited.value.code == code
    times = [line for line in at(gateway).body.decode().splitlines() if line.startswith(LAST_SUCCESS) and job in line]
    assert len(times) == well


def test_jobs_side_by_side_have_a_grouping_key_each(gateway: str, job: str) -> None:
    for instance, calls in (("shard-1", 1), ("shard/2", 2)):
        registry = CollectorRegistry()
        vad = run_of(registry)
        for _ in range(calls):
            vad()
        assert pipemon.push(gateway, job, grouping_key={"instance": instance}, registry=registry)
    assert at(gateway).value(CALLS, job=job, instance="shard-1", stage="vad") == 1
    assert at(gateway).value(CALLS, job=job, instance="shard/2", stage="vad") == 2


def test_a_pipeline_may_be_given_itself(gateway: str, job: str, tmp_path: Path) -> None:
    registry = CollectorRegistry()
    speech = pipemon.Pipeline("speech", registry=registry)
    assert pipemon.push(f"http://{gateway}/", job, pipeline=speech, registry=registry)
    assert at(gateway).value(LAST_SUCCESS, job=job, pipeline="speech") > 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"job": ""}, "job ''"),
        ({"gateway": ""}, "gateway ''"),
        ({"gateway": None}, "gateway None"),
        ({"grouping_key": {"stage": "vad"}}, "'stage', which is a label of the metrics themselves"),
        ({"grouping_key": {"a-b": "c"}}, "'a-b', which can't be a label's name"),
        ({"timeout": 0}, "timeout 0"),
        ({"pipeline": "a b"}, "pipeline name 'a b'"),
    ],
)
def test_what_can_not_be_pushed_is_told_before_the_job_begins(options: dict[str, Any], told: str) -> None:
    with pytest.raises(pipemon.DeclarationError, match=told):
        pipemon.batch_job(**{"job": "nightly", "gateway": "127.0.0.1:1", **options})


def test_without_a_gateway_the_job_ends_well_and_that_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    (nobody,) = free_ports(1)
    registry = CollectorRegistry()
    vad = run_of(registry)
    for _ in range(2):
        with pipemon.batch_job("nightly", gateway=f"127.0.0.1:{nobody}", pipeline="speech", registry=registry):
            vad()
    assert not pipemon.push(f"127.0.0.1:{nobody}", "nightly", registry=registry)
    (record,) = [record for record in caplog.records if str(nobody) in record.getMessage()]
    assert (record.levelno, bool(record.exc_info)) == (logging.WARNING, False)
    assert (
        record.getMessage() == f"the metrics could not be pushed to 127.0.0.1:{nobody}: [Errno 111] Connection refused"
    )


def test_a_gateway_that_does_not_answer_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        gateway = f"127.0.0.1:{silent.getsockname()[1]}"
        assert not pipemon.push(gateway, "nightly", registry=CollectorRegistry(), timeout=0.1)
        # Who gives up first says so, its thread or the caller.
        until(lambda: gateway in caplog.text, "a word about it")
    assert [record.levelno for record in caplog.records if gateway in record.getMessage()] == [logging.WARNING]


def test_a_gateway_that_answers_a_letter_at_a_time_is_given_up_too(caplog: pytest.LogCaptureFixture) -> None:
    enough = threading.Event()

    def drip(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nSlow: ")
            for _ in range(500):
                if enough.wait(0.01):
                    return
                connection.sendall(b"x")
            enough.set()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        gateway = f"127.0.0.1:{listening.getsockname()[1]}"
        thread = threading.Thread(target=drip, args=(listening,))
        thread.start()
        assert not pipemon.push(gateway, "nightly", registry=CollectorRegistry(), timeout=0.5)
        assert not enough.is_set()
        enough.set()
        thread.join()
        until(lambda: gateway in caplog.text, "a word about it")
    assert [record.levelno for record in caplog.records if gateway in record.getMessage()] == [logging.WARNING]


def test_disabled_nothing_is_pushed(gateway: str, job: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPEMON_DISABLED", "1")
    with pipemon.batch_job(job, gateway=gateway, pipeline="speech"):
        pass
    assert not pipemon.push(gateway, job, pipeline="speech")
    assert job not in at(gateway).body.decode()


def test_a_gateway_may_want_a_password(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    registry = CollectorRegistry()
    with running_pushgateway(tmp_path, basic_auth_users={"batch": BCRYPT}) as gateway:
        known = partial(basic_auth_handler, username="batch", password="s3cret")
        stranger = partial(basic_auth_handler, username="batch", password="wr0ng")
        assert pipemon.push(gateway, "nightly", registry=registry, handler=known)
        assert not pipemon.push(gateway, "nightly", registry=registry, handler=stranger)
    assert "401" in caplog.text
    assert "wr0ng" not in caplog.text


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # the client library's handler closes no socket
def test_a_gateway_may_want_a_certificate(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    for name in ("server", "client"):
        issued = authority.issue_cert("127.0.0.1")
        issued.cert_chain_pems[0].write_to_path(str(tmp_path / f"{name}.crt"))
        issued.private_key_pem.write_to_path(str(tmp_path / f"{name}.key"))
    tls = {
        "cert_file": "server.crt",
        "key_file": "server.key",
        "client_ca_file": "ca.crt",
        "client_auth_type": "RequireAndVerifyClientCert",
    }
    registry = CollectorRegistry()
    known = partial(
        tls_auth_handler,
        certfile=str(tmp_path / "client.crt"),
        keyfile=str(tmp_path / "client.key"),
        cafile=str(tmp_path / "ca.crt"),
    )
    with running_pushgateway(tmp_path, tls_server_config=tls) as gateway:
        assert pipemon.push(f"https://{gateway}", "nightly", registry=registry, handler=known)
        gc.collect()


NIGHTLY = """\
pipeline: nightly
schedule: {every: 5m, grace: 3m}
stages: {score: {}}
failure_modes:
  late: {what: No run came, signal: no_calls, for: 30s}
  empty: {what: Scores are empty, stage: score, signal: null_ratio, above: 20%, for: 30s}
  few: {what: Few rows came, stage: score, signal: throughput, below: 40, for: 30s}
"""


def test_the_rules_of_a_schedule_tell_what_a_run_pushed_and_that_none_comes(gateway: str, tmp_path: Path) -> None:
    spec, out = tmp_path / "nightly.yaml", tmp_path / "out"
    spec.write_text(NIGHTLY)
    # A minute is a second.
    generate((spec,), out, Options(time_scale=60, targets=(gateway,)))

    def scored(row: int | None) -> int | None:
        return row

    def run(null: int, rows: int = 40) -> None:
        registry = CollectorRegistry()
        score = pipemon.Pipeline("nightly", registry=registry).stage("score")(scored)
        with pipemon.batch_job("nightly", gateway=gateway, pipeline="nightly", registry=registry):
            for index in range(rows):
                score(None if index < null else index)

    def firing() -> set[str]:
        return {each.labels["failure_mode"] for each in prometheus.query('ALERTS{alertstate="firing"}')}

    run(null=20)
    with running_prometheus((out / "prometheus.yml").read_text(), out) as prometheus:
        until(lambda: "empty" in firing(), "the bad run's alert")
        assert "few" not in firing()
        run(null=0, rows=39)
        until(lambda: "empty" not in firing() and "few" in firing(), "the end of it with the next run, a small one")
        assert Server(prometheus.url, 5.0, batch=("nightly",)).read().total(CALLS, stage="score") == 39
        until(lambda: "late" in firing(), "the alert on no further run")
        (success,) = prometheus.query(LAST_SUCCESS + '{pipeline="nightly"}')
        (since,) = prometheus.query('ALERTS_FOR_STATE{failure_mode="late"}')
        assert since.value - success.value >= 8 - 1
