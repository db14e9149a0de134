"""The metrics inside a server that there is already: real frameworks on real servers."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.validate import validator

import pytest
import uvicorn
from aiohttp import ClientSession, web
from fastapi import FastAPI
from fetching import fetch
from flask import Flask
from prometheus_client import CollectorRegistry, Gauge
from real_servers import until
from werkzeug.middleware.dispatcher import DispatcherMiddleware

import pipemon

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
Started = Callable[[Any], str]


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    Gauge("answer", "The answer.", registry=registry).set(42)
    return registry


@pytest.fixture
def serve_asgi() -> Iterator[Started]:
    """Run uvicorn in a thread, and return the URL."""
    with contextlib.ExitStack() as stack:

        def serve(app: Any) -> str:
            server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
            thread = threading.Thread(target=server.run)
            thread.start()
            stack.callback(thread.join)
            stack.callback(setattr, server, "should_exit", True)
            until(lambda: server.started, "uvicorn")
            return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"

        yield serve


class Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def serve_wsgi() -> Iterator[Started]:
    """Run an app in the standard library's server, and return the URL."""
    with contextlib.ExitStack() as stack:

        def serve(app: Any) -> str:
            server: WSGIServer = make_server("127.0.0.1", 0, app, handler_class=Silent)
            thread = threading.Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_port}"

        yield serve


def check_metrics(url: str) -> None:
    plain = fetch(url)
    assert plain.status == 200
    assert plain.value("answer") == 42
    assert int(plain.headers["content-length"]) == len(plain.body)
    best = fetch(url, Accept="application/openmetrics-text;version=1.0.0", Accept_Encoding="gzip")
    assert best.headers["content-type"].startswith(OPENMETRICS)
    assert best.headers["content-encoding"] == "gzip"
    assert b"nothing" not in fetch(f"{url}?name[]=nothing").body


def test_fastapi_mounts_the_app_or_has_it_as_a_route_without_a_redirect(
    registry: CollectorRegistry, serve_asgi: Started
) -> None:
    app = FastAPI()
    app.add_route("/metrics", pipemon.asgi_app(registry))  # type: ignore[arg-type]  # typed for functions only
    app.mount("/mounted", pipemon.asgi_app(registry))
    url = serve_asgi(app)
    check_metrics(f"{url}/metrics")
    check_metrics(f"{url}/mounted/")
    assert fetch(f"{url}/metrics", "POST").status == 405


def test_the_asgi_app_serves_by_itself(registry: CollectorRegistry, serve_asgi: Started) -> None:
    check_metrics(f"{serve_asgi(pipemon.asgi_app(registry))}/metrics")


def test_flask_mounts_the_app(registry: CollectorRegistry, serve_wsgi: Started) -> None:
    app = Flask(__name__)
    app.add_url_rule("/", view_func=lambda: "hello")
    app.wsgi_app = DispatcherMiddleware(  # type: ignore[method-assign]
        app.wsgi_app, {"/metrics": validator(pipemon.wsgi_app(registry))}
    )
    url = serve_wsgi(app)
    check_metrics(f"{url}/metrics")
    assert fetch(f"{url}/metrics", "POST").status == 405
    assert fetch(url).body == b"hello"


@contextlib.asynccontextmanager
async def aiohttp_server(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_aiohttp_has_the_handler_as_a_route(registry: CollectorRegistry) -> None:
    app = web.Application()
    app.router.add_get("/metrics", pipemon.aiohttp_handler(registry))
    async with aiohttp_server(app) as url:
        await asyncio.to_thread(check_metrics, f"{url}/metrics")


class Stuck:
    """A collector that does not come back before it is let."""

    def __init__(self) -> None:
        self.begun, self.let = threading.Event(), threading.Event()

    def collect(self) -> list[Any]:
        self.begun.set()
        assert self.let.wait(30)
        return []


def test_an_asgi_server_answers_others_while_metrics_are_collected(serve_asgi: Started) -> None:
    stuck, registry, app = Stuck(), CollectorRegistry(), FastAPI()
    registry.register(stuck)
    app.mount("/metrics", pipemon.asgi_app(registry))

    @app.get("/")
    async def hello() -> str:
        return "hello"

    url = serve_asgi(app)
    with ThreadPoolExecutor(1) as pool:
        scrape = pool.submit(fetch, f"{url}/metrics/")
        assert stuck.begun.wait(30)
        assert fetch(url).body == b'"hello"'
        stuck.let.set()
        assert scrape.result().status == 200


async def test_aiohttp_answers_others_while_metrics_are_collected_and_its_threads_are_busy() -> None:
    stuck, registry, app = Stuck(), CollectorRegistry(), web.Application()
    registry.register(stuck)
    app.router.add_get("/metrics", pipemon.aiohttp_handler(registry))
    busy = ThreadPoolExecutor(1)
    asyncio.get_running_loop().set_default_executor(busy)
    busy.submit(stuck.let.wait, 30)
    async with aiohttp_server(app) as url, ClientSession() as client:
        scrape = asyncio.ensure_future(client.get(f"{url}/metrics"))
        while not stuck.begun.is_set():
            await asyncio.sleep(0.01)
        async with client.get(f"{url}/nowhere") as other:
            assert other.status == 404
        stuck.let.set()
        async with await scrape as response:
            assert response.status == 200


def test_where_the_event_loop_is_not_asyncios_the_metrics_are_collected_in_place(registry: CollectorRegistry) -> None:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> None: ...

    scope = {"type": "http", "method": "GET", "query_string": b"", "headers": []}
    with contextlib.suppress(StopIteration):
        pipemon.asgi_app(registry)(scope, receive, send).send(None)
    assert [message.get("status") for message in sent] == [200, None]
    assert b"answer 42.0" in sent[1]["body"]


def test_other_than_http_is_refused(registry: CollectorRegistry) -> None:
    with pytest.raises(ValueError, match="websocket"):
        asyncio.run(pipemon.asgi_app(registry)({"type": "websocket"}, None, None))  # type: ignore[arg-type]


def test_disabled_the_apps_serve_what_others_registered(
    registry: CollectorRegistry, serve_wsgi: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPEMON_DISABLED", "1")
    pipemon.Pipeline("speech", registry=registry).stage("vad")(lambda: 1)
    answer = fetch(serve_wsgi(pipemon.wsgi_app(registry)))
    assert answer.value("answer") == 42
    assert b"pipemon" not in answer.body
