"""FastAPI and Starlette apps, called as real services call each other."""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from fastapi import BackgroundTasks, FastAPI, WebSocket
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from real_servers import until
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import pipemon
from pipemon.demo.processes import Child, children, free_ports, start
from pipemon.integrations.fastapi import instrument

TRACE = "0af7651916cd43dd8448eb211c80319c"
HEADERS = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "tracestate": "pipemon=churn:load"}

SERVICE = """
import os, json
from urllib.request import Request, urlopen
from fastapi import FastAPI
import pipemon
from pipemon.integrations.fastapi import instrument

app = FastAPI()
instrument(app)
churn = pipemon.Pipeline("churn")

if os.environ["PART"] == "front":

    @churn.stage("load")
    def load(customer):
        return [customer]

    @churn.run
    def answer(customer):
        rows = load(customer)
        run = pipemon.current_run()
        with urlopen(Request(os.environ["NEXT"], headers=run.headers()), timeout=120) as response:
            return {"run": run.id, "after": json.load(response), "rows": rows}

    @app.get("/")
    def root():
        return answer(7)

else:

    @churn.stage("score")
    def score():
        return 0.5

    @app.get("/")
    async def root():
        return {"run": pipemon.current_run().id, "score": score()}
"""


def samples(url: str) -> dict[str, list[dict[str, str]]]:
    with urlopen(url, timeout=120) as response:
        assert response.url == url  # no redirect
        text = response.read().decode()
    found: dict[str, list[dict[str, str]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.labels)
    return found


def test_a_cascade_over_two_services_is_one_run_with_an_edge_between_them(tmp_path: Path) -> None:
    (tmp_path / "service.py").write_text(SERVICE)
    front, back = free_ports(2)
    with children() as started:
        for part, port in (("back", back), ("front", front)):
            command = [sys.executable, "-m", "uvicorn", "service:app", "--port", str(port), "--log-level", "warning"]
            environment = {"PART": part, "NEXT": f"http://127.0.0.1:{back}/", "PYTHONPATH": str(tmp_path)}
            started.append(start(part, command, tmp_path / f"{part}.log", env={**os.environ, **environment}))
        for child, port in zip(started, (back, front), strict=True):
            until(partial(answers, child, port), "the service")
        request = Request(f"http://127.0.0.1:{front}/", headers={"traceparent": HEADERS["traceparent"]})
        with urlopen(request, timeout=120) as response:
            told = json.load(response)
        upstream = samples(f"http://127.0.0.1:{back}/metrics")["pipemon_stage_upstream_info"]
    assert told["run"] == told["after"]["run"] == TRACE
    assert [(each["upstream"], each["stage"]) for each in upstream] == [("load", "score")]


def answers(child: Child, port: int) -> bool:
    child.check()
    try:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=120):
            return True
    except OSError:
        return False


@pytest.fixture
def app(registry: CollectorRegistry, pipeline: pipemon.Pipeline) -> FastAPI:
    app = FastAPI()
    instrument(app, registry=registry)
    score = pipeline.stage("score")(told)

    @app.get("/async")
    async def asynchronous() -> dict[str, Any]:
        return score()

    @app.get("/sync")
    def synchronous() -> dict[str, Any]:  # in a thread of the pool
        return score()

    later: list[Any] = []

    @app.get("/later")
    async def background(tasks: BackgroundTasks) -> None:
        tasks.add_task(lambda: later.append(told()))

    @app.get("/was")
    async def was() -> Any:
        return later.pop()

    @app.websocket("/ws")
    async def websocket(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_json(told())
        await socket.close()

    return app


def told() -> dict[str, Any]:
    run = pipemon.current_run()
    assert run is not None
    return {"run": run.id, "pipeline": run.pipeline}


@pytest.mark.parametrize("path", ["/async", "/sync"])
def test_a_request_continues_the_run_of_its_headers(app: FastAPI, path: str, registry: CollectorRegistry) -> None:
    with TestClient(app) as client:
        assert client.get(path, headers=HEADERS).json() == {"run": TRACE, "pipeline": "churn"}
    labels = {"pipeline": "churn", "stage": "score", "version": "7", "track": "stable", "upstream": "load"}
    assert registry.get_sample_value("pipemon_stage_upstream_info", labels) == 1


def test_tracestate_may_come_in_several_headers(app: FastAPI) -> None:
    headers = [("traceparent", HEADERS["traceparent"]), ("tracestate", "other=1"), ("tracestate", "pipemon=churn:load")]
    with TestClient(app) as client:
        assert client.get("/sync", headers=headers).json() == {"run": TRACE, "pipeline": "churn"}


def test_background_tasks_and_websockets_are_part_of_the_run(app: FastAPI) -> None:
    with TestClient(app) as client:
        client.get("/later", headers=HEADERS)
        assert client.get("/was").json()["run"] == TRACE
        with client.websocket_connect("/ws", headers=HEADERS) as socket:
            assert socket.receive_json()["run"] == TRACE


def test_requests_without_headers_are_runs_of_their_own(app: FastAPI) -> None:
    with TestClient(app) as client:
        first, second = (client.get("/sync").json()["run"] for _ in range(2))
    assert first != second
    assert pipemon.current_run() is None


def test_responses_carry_nothing_of_the_run(app: FastAPI) -> None:
    with TestClient(app) as client:
        assert not {"traceparent", "tracestate"} & set(client.get("/sync", headers=HEADERS).headers)


def test_metrics_come_before_a_route_that_takes_everything_and_are_not_in_the_schema(
    registry: CollectorRegistry, pipeline: pipemon.Pipeline
) -> None:
    app = FastAPI()
    app.get("/{path:path}")(lambda path: "everything")
    instrument(app, registry=registry)
    instrument(app, registry=registry)
    with TestClient(app, follow_redirects=False) as client:
        assert "pipemon_build_info" in client.get("/metrics").text
        assert "/metrics" not in client.get("/openapi.json").text


def test_starlette_is_served_likewise_and_without_metrics_where_there_shall_be_none() -> None:
    app = Starlette(routes=[Route("/", lambda request: PlainTextResponse(told()["run"]))])
    instrument(app, metrics=None)
    with TestClient(app) as client:
        assert client.get("/", headers=HEADERS).text == TRACE
        assert client.get("/metrics").status_code == 404


def test_disabled_it_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPEMON_DISABLED", "1")
    app = FastAPI()
    instrument(app)
    assert not app.user_middleware
    with TestClient(app) as client:
        assert client.get("/metrics").status_code == 404


def test_what_can_not_be_is_told() -> None:
    app = FastAPI()
    with pytest.raises(pipemon.DeclarationError, match="did you mean '/metrics'"):
        instrument(app, metrics="metrics")
    with TestClient(app) as client:
        client.get("/")
    with pytest.raises(pipemon.DeclarationError, match="before the app serves"):
        instrument(app)
