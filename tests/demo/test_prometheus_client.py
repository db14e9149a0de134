"""The client for Prometheus and Alertmanager: what it asks, what it understands, how it fails."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs

import pytest

from pipemon.errors import UnavailableError
from pipemon.prometheus import Alertmanager, Prometheus, Sample, Series


@dataclass
class Fake:
    """A server that answers everything the same and remembers what it was asked."""

    url: str = ""
    status: int = 200
    body: bytes = b""
    location: str = ""
    asked: list[tuple[str, str, dict[str, list[str]]]] = field(default_factory=list)
    who: list[str | None] = field(default_factory=list)


@pytest.fixture
def fake() -> Iterator[Fake]:
    told = Fake()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            form = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            told.asked.append((self.command, self.path, parse_qs(form)))
            told.who.append(self.headers.get("Authorization"))
            self.send_response(told.status)
            if told.location:
                self.send_header("Location", told.location)
            self.send_header("Content-Length", str(len(told.body)))
            self.end_headers()
            self.wfile.write(told.body)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        told.url = f"http://127.0.0.1:{server.server_port}"
        yield told
        server.shutdown()
        thread.join()


def answer(kind: str, result: object) -> bytes:
    return json.dumps({"status": "success", "data": {"resultType": kind, "result": result}}).encode()


def test_an_instant_query_gives_samples_with_labels_and_values(fake: Fake) -> None:
    fake.body = answer(
        "vector", [{"metric": {"stage": "vad"}, "value": [1.5, "NaN"]}, {"metric": {}, "value": [1, "2"]}]
    )
    nan, two = Prometheus(fake.url + "/prefix/").query("up", time=1.5)
    assert nan.labels == {"stage": "vad"}
    assert math.isnan(nan.value)
    assert two == Sample({}, 2.0)
    assert fake.asked == [("POST", "/prefix/api/v1/query", {"query": ["up"], "time": ["1.5"]})]


def test_a_scalar_is_one_sample_without_labels(fake: Fake) -> None:
    fake.body = answer("scalar", [1, "+Inf"])
    assert Prometheus(fake.url).query("1/0") == [Sample({}, math.inf)]


def test_a_range_query_gives_the_points_of_each_series(fake: Fake) -> None:
    fake.body = answer("matrix", [{"metric": {"a": "b"}, "values": [[1, "1"], [2.5, "3"]]}])
    assert Prometheus(fake.url).query_range("up", 1, 3, 0.5) == [Series({"a": "b"}, ((1.0, 1.0), (2.5, 3.0)))]
    assert fake.asked[0][2] == {"query": ["up"], "start": ["1.0"], "end": ["3.0"], "step": ["0.5"]}


def test_the_servers_own_words_are_told_where_it_refuses(fake: Fake) -> None:
    fake.status, fake.body = 400, json.dumps({"status": "error", "error": 'parse error: unexpected "("'}).encode()
    with pytest.raises(UnavailableError) as raised:
        Prometheus(fake.url).query("(")
    assert str(raised.value) == f'Prometheus at {fake.url} refused: 400 Bad Request: parse error: unexpected "("'
    fake.status, fake.body = 500, b"failed to reload config:\n  no such file\n"
    with pytest.raises(UnavailableError, match=r"500 Internal Server Error: failed to reload config: no such file$"):
        Alertmanager(fake.url).reload()
    fake.status, fake.body = 502, b"<html><h1>Bad gateway"
    with pytest.raises(UnavailableError, match=r"502 Bad Gateway$"):
        Alertmanager(fake.url).alerts()


@pytest.mark.parametrize(
    "body",
    [
        b"<html>log in</html>",
        b"[]",
        b"{}",
        b'{"data": 1}',
        b'"x"',
        b"\xff",
        answer("vector", [{}]),
        answer("vector", 1),
    ],
)
def test_an_answer_that_is_not_prometheus_own_is_told(fake: Fake, body: bytes) -> None:
    fake.body = body
    prometheus = Prometheus(fake.url)
    for ask in (lambda: prometheus.query("up"), prometheus.rules, prometheus.targets):
        with pytest.raises(UnavailableError) as raised:
            ask()
        assert str(raised.value) == f"{fake.url} does not answer as Prometheus does; is it the right address?"


@pytest.mark.parametrize("status", [404, 405])
def test_a_process_that_is_taken_for_a_prometheus_is_told_to_have_a_page(fake: Fake, status: int) -> None:
    fake.status = status
    with pytest.raises(UnavailableError, match=r"; is it one\? A process's page ends in /metrics$"):
        Prometheus(fake.url).query("up")


def test_user_and_password_of_the_address_and_a_token_of_the_environment_say_who_asks(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPEMON_PROMETHEUS_TOKEN", "secret\n")
    fake.body = answer("vector", [])
    Prometheus(fake.url).query("up")
    named = Prometheus(fake.url.replace("//", "//me:pass%40word@"))
    named.query("up")
    assert fake.who == ["Bearer secret", "Basic bWU6cGFzc0B3b3Jk"]
    assert named.url == fake.url
    assert not Alertmanager(fake.url).ready() or fake.who[-1] is None


def test_no_message_has_a_password_or_a_token(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPEMON_PROMETHEUS_TOKEN", "sec ret")
    with pytest.raises(UnavailableError) as token:
        Prometheus(fake.url)
    fake.status = 401
    with pytest.raises(UnavailableError) as refused:
        Prometheus(fake.url.replace("//", "//me:secret@")).query("up")
    with pytest.raises(UnavailableError) as invalid:
        Prometheus("ftp://me:secret@host")
    with pytest.raises(UnavailableError) as away:
        Prometheus("http://me:secret@127.0.0.1:1").query("up")
    for raised in (token, refused, invalid, away):
        assert "secret" not in str(raised.value)
        assert "sec ret" not in str(raised.value)
    assert "or set PIPEMON_PROMETHEUS_TOKEN" in str(refused.value)


def test_a_password_is_not_sent_on_where_the_server_sends_to(fake: Fake) -> None:
    fake.status, fake.location = 302, f"{fake.url}/elsewhere"
    with pytest.raises(UnavailableError):
        Prometheus(fake.url.replace("//", "//me:secret@")).retention()
    assert fake.who[0] is not None
    assert set(fake.who[1:]) == {None}


def test_a_redirected_question_is_not_turned_into_another(fake: Fake) -> None:
    fake.status, fake.location = 302, "/login"
    with pytest.raises(UnavailableError, match=r"refused: 302 Found$"):
        Prometheus(fake.url).query("up")
    assert len(fake.asked) == 1


def test_a_proxy_of_the_environment_is_not_used_for_this_machine(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    assert Prometheus(fake.url).ready()


@pytest.mark.parametrize("url", ["localhost:9090", "ftp://host", "http://", "http://[::1", "http://host:port", ""])
def test_what_is_no_address_is_refused_with_the_form_of_one(url: str) -> None:
    with pytest.raises(UnavailableError) as raised:
        Alertmanager(url)
    assert str(raised.value) == f"{url!r} is not the address of Alertmanager; write it as http://host:port"


def test_a_server_that_is_not_there_is_told_and_is_not_ready() -> None:
    prometheus = Prometheus("http://127.0.0.1:9")
    assert not prometheus.ready()
    with pytest.raises(UnavailableError) as raised:
        prometheus.targets()
    assert str(raised.value) == "Prometheus can't be reached at http://127.0.0.1:9: Connection refused"
