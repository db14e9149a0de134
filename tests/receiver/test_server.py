"""The webhook: what it answers, what it prints, how it starts and ends."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import signal
import socket
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator

import aiohttp
import pytest
import trustme
from prometheus_client.parser import text_string_to_metric_families

from pipemon import catalogue
from pipemon.errors import UnavailableError
from pipemon.receiver import server
from pipemon.receiver.measures import Measures
from pipemon.receiver.payload import Notification
from pipemon.receiver.server import MAX_BODY_BYTES, listening, receiver_app, serve

BODY = json.dumps(
    {
        "version": "4",
        "truncatedAlerts": 2,
        "alerts": [
            {
                "status": "firing",
                "labels": {"alertname": "A", "pipeline": "p", "failure_mode": "slow", "severity": "info"},
                "annotations": {"description": "p95 is 2 s, above 1 s"},
            }
        ],
    }
).encode()


class Receiver:
    def __init__(self, session: aiohttp.ClientSession, port: int, got: list[Notification]) -> None:
        self.session, self.url, self.got = session, f"http://127.0.0.1:{port}", got

    async def post(self, data: bytes | io.BytesIO, **headers: str) -> tuple[int, str]:
        async with self.session.post(self.url + "/alerts", data=data, headers=headers) as answer:
            return answer.status, await answer.text()


@contextlib.asynccontextmanager
async def running(error: OSError | None = None) -> AsyncIterator[Receiver]:
    got: list[Notification] = []

    def deliver(notification: Notification) -> None:
        if error:
            raise error
        got.append(notification)

    async with listening(receiver_app(deliver), "127.0.0.1", 0) as port, aiohttp.ClientSession() as session:
        yield Receiver(session, port, got)


async def test_a_notification_is_delivered_once_and_acknowledged() -> None:
    async with running() as receiver:
        assert (await receiver.post(BODY))[0] == 200
        assert [alert.failure_mode for found in receiver.got for alert in found.alerts] == ["slow"]


async def test_what_is_no_notification_is_refused_with_one_sentence() -> None:
    async with running() as receiver:
        assert await receiver.post(b'{"alerts": 1}') == (
            400,
            "this is not an Alertmanager notification: alerts is not a list\n",
        )
        assert (await receiver.post(b"not gzip", **{"Content-Encoding": "gzip"}))[0] == 400
        assert receiver.got == []


async def test_a_body_over_the_limit_is_refused_unread() -> None:
    async with running() as receiver:
        assert (await receiver.post(io.BytesIO(b" " * (MAX_BODY_BYTES + 1))))[0] == 413


async def test_a_notification_that_could_not_be_delivered_is_asked_for_again() -> None:
    async with running(OSError(28, "No space left on device")) as receiver:
        status, told = await receiver.post(BODY)
    assert (status, told) == (503, "the notification could not be delivered: No space left on device\n")


TOKEN = "a-token-of-sixteen"


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"Basic {b64encode(f'alertmanager:{TOKEN}'.encode()).decode()}", 200),
        ("", 401),
        ("Bearer another", 401),
        (f"Basic {TOKEN}", 401),
        ("Basic ????", 401),
        (f"Digest {TOKEN}", 401),
    ],
)
async def test_with_a_token_only_those_who_have_it_are_heard_and_see_the_page(authorization: str, status: int) -> None:
    got: list[Notification] = []
    measures = Measures(lambda: 0)
    app = receiver_app(got.append, measures, lambda: "the page", TOKEN)
    headers = {"Authorization": authorization} if authorization else {}
    async with listening(app, "127.0.0.1", 0) as port, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        async with session.post("/alerts", data=BODY, headers=headers) as answer:
            assert answer.status == status
        async with session.get("/", headers=headers) as answer:
            assert answer.status == status
            assert (await answer.text() == "the page") == (status == 200)
        async with session.get("/metrics") as answer:
            text = await answer.text()
    assert len(got) == (status == 200)
    refused = 'pipemon_receiver_notifications_refused_total{reason="unauthorized"}'
    assert f"{refused} {float(status == 401)}" in text
    assert f'pipemon_receiver_alerts_received_total{{status="firing"}} {float(status == 200)}' in text


async def test_with_a_certificate_it_speaks_https() -> None:
    authority = trustme.CA()
    tls, trusting = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.configure_trust(trusting)
    got: list[Notification] = []
    async with (
        listening(receiver_app(got.append), "127.0.0.1", 0, tls) as port,
        aiohttp.ClientSession() as session,
        session.post(f"https://127.0.0.1:{port}/alerts", data=BODY, ssl=trusting) as answer,
    ):
        assert answer.status == 200
    assert len(got) == 1


async def test_metrics_are_those_of_the_catalogue() -> None:
    async with running() as receiver, receiver.session.get(receiver.url + "/metrics") as answer:
        families = list(text_string_to_metric_families(await answer.text()))
    found = {family.name + "_total" * (family.type == "counter"): family for family in families}
    assert found.keys() == catalogue.RECEIVER_METRICS.keys()
    for name, family in found.items():
        metric = catalogue.RECEIVER_METRICS[name]
        assert (family.type, family.documentation) == (metric.type, metric.help)
        assert all(set(sample.labels) == set(metric.labels) for sample in family.samples)


async def test_healthz_answers_and_other_methods_are_not_allowed() -> None:
    async with running() as receiver:
        async with receiver.session.get(receiver.url + "/healthz") as answer:
            assert answer.status == 200
        async with receiver.session.get(receiver.url + "/alerts") as answer:
            assert answer.status == 405


def test_an_address_that_is_taken_is_told_in_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UnavailableError, match=f"^can't listen on 127.0.0.1:{port}: Address already in use$"):
            serve(port)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_prints_a_line_for_each_alert_until_it_is_told_to_stop(number: signal.Signals) -> None:
    lines: list[str] = []
    tasks: set[asyncio.Task[None]] = set()

    ended = {**json.loads(BODY)["alerts"][0], "status": "resolved", "fingerprint": "held-back"}
    beside = json.dumps({**json.loads(BODY), "alerts": [*json.loads(BODY)["alerts"], ended], "truncatedAlerts": 0})
    repeated = json.dumps({**json.loads(BODY), "truncatedAlerts": 0})

    async def notify(url: str) -> None:
        async with aiohttp.ClientSession() as session:
            for body in (BODY, beside, repeated):
                async with session.post(url, data=body) as answer:
                    assert answer.status == 200
        os.kill(os.getpid(), number)

    def write(text: str) -> None:
        lines.append(text)
        if len(lines) == 1:
            tasks.add(asyncio.get_running_loop().create_task(notify(text.rpartition(" ")[2])))

    serve(0, write=write)
    assert [text[20:] for text in lines[1:]] == [
        "FIRING info p slow: p95 is 2 s, above 1 s.",
        "and 2 more that Alertmanager left out",
        "STILL FIRING info p slow on: p95 is 2 s, above 1 s.",
    ]


def test_standard_output_that_knows_no_unicode_gets_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding="ascii", write_through=True))
    server._to_stdout("L\u00e4rm")
    assert written.getvalue() == b"L\\xe4rm\n"
