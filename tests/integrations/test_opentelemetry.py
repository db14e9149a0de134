"""Runs and exemplars in the traces of a real OpenTelemetry SDK, the latter as far as Prometheus's storage."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON
from opentelemetry.trace import Span, Tracer, format_span_id, format_trace_id
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from real_servers import program, until

import pipemon
from pipemon.demo.processes import children, free_ports, start
from pipemon.demo.servers import prometheus_command

TRACED = TracerProvider(sampler=ALWAYS_ON).get_tracer("tests")
UNSAMPLED = TracerProvider(sampler=ALWAYS_OFF).get_tracer("tests")

Ids = dict[str, str]


def ids(span: Span) -> Ids:
    context = span.get_span_context()
    return {"trace_id": format_trace_id(context.trace_id), "span_id": format_span_id(context.span_id)}


def exemplars(registry: CollectorRegistry, stage: str = "score") -> list[Ids]:
    """Those of the stage's duration, as OpenMetrics text has them."""
    text = generate_latest(registry).decode()  # type: ignore[no-untyped-call]
    return [
        sample.exemplar.labels
        for family in text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
        for sample in family.samples
        if sample.name == "pipemon_stage_duration_seconds_bucket" and sample.labels["stage"] == stage
        if sample.exemplar is not None
    ]


@pytest.mark.parametrize("tracer", [TRACED, UNSAMPLED], ids=["sampled", "unsampled"])
def test_a_run_in_a_trace_has_the_traces_id_and_passes_it_on_as_the_trace_does(
    pipeline: pipemon.Pipeline, tracer: Tracer
) -> None:
    @pipeline.run
    def answer() -> tuple[str, dict[str, str]]:
        run = pipemon.current_run()
        assert run is not None
        return run.id, run.headers()

    with tracer.start_as_current_span("request") as span:
        told, headers = answer()
        theirs: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(theirs)
    assert told == ids(span)["trace_id"]
    assert headers["traceparent"] == theirs["traceparent"]
    assert answer()[0] != told


def test_a_run_begun_in_a_trace_keeps_its_id_in_a_trace_begun_later(pipeline: pipemon.Pipeline) -> None:
    with TRACED.start_as_current_span("one"), pipemon.Run("churn") as run:
        before = run.id
        with TRACED.start_as_current_span("two", context=None) as inner:
            assert run.id == before
            assert run.headers()["traceparent"].split("-")[1:3] == [before, ids(inner)["span_id"]]


@pytest.fixture
def sleep(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sleep by the clock of the stages, which stands otherwise: on a loaded machine any call may take too long."""
    seconds = [0.0]
    for module in ("wrapping", "block", "endings", "sampling"):
        monkeypatch.setattr(f"pipemon.instrument.{module}.perf_counter", lambda: seconds[0])

    def sleep(lasts: float) -> None:
        seconds[0] += lasts

    return sleep


@pytest.fixture
def score(pipeline: pipemon.Pipeline, sleep: Callable[[float], None]) -> Callable[..., Any]:
    @pipeline.stage("score", budget="20ms")
    def score(lasts: float = 0.0, fails: bool = False) -> int:
        sleep(lasts)
        if fails:
            raise ValueError
        return 1

    return score


@pytest.fixture
def only_the_first_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipemon.instrument.recorder.TICK", 3600)


def test_a_sampled_call_is_linked_to_its_span(score: Callable[..., Any], registry: CollectorRegistry) -> None:
    with TRACED.start_as_current_span("request") as span:
        score()
    assert exemplars(registry) == [ids(span)]


def test_calls_that_fail_or_take_too_long_are_linked_though_they_are_not_sampled(
    score: Callable[..., Any], registry: CollectorRegistry, only_the_first_is_sampled: None
) -> None:
    score()
    with TRACED.start_as_current_span("failed") as failed, pytest.raises(ValueError):  # noqa: PT011
        score(fails=True)
    assert exemplars(registry) == [ids(failed)]
    score()
    with TRACED.start_as_current_span("slow") as slow:
        score(lasts=0.03)
    assert exemplars(registry) == [ids(failed), ids(slow)]


@pytest.mark.parametrize("kind", ["block", "batch", "stream"])
def test_blocks_batches_and_streams_that_take_too_long_are_linked_likewise(
    pipeline: pipemon.Pipeline,
    registry: CollectorRegistry,
    kind: str,
    sleep: Callable[[float], None],
    only_the_first_is_sampled: None,
) -> None:
    @pipeline.stage("batch", budget="20ms", batch=True)
    def batch(rows: list[float]) -> list[float]:
        sleep(max(rows))
        return rows

    blocks = pipeline.stage("block", budget="20ms")

    def block(rows: list[float]) -> None:
        with blocks.call():
            sleep(max(rows))

    @pipeline.stage("stream", budget="20ms")
    def stream(rows: list[float]) -> Iterator[float]:
        for row in rows:
            sleep(row)
            yield row

    kinds: dict[str, Callable[[list[float]], Any]]
    kinds = {"block": block, "batch": batch, "stream": lambda rows: list(stream(rows))}
    score = kinds[kind]
    score([0.0])
    with TRACED.start_as_current_span("slow") as slow:
        score([0.03])
        score([0.0])
    assert exemplars(registry, kind) == [ids(slow)]


def test_async_stages_are_linked_too(pipeline: pipemon.Pipeline, registry: CollectorRegistry) -> None:
    @pipeline.stage("score")
    async def score() -> int:
        await asyncio.sleep(0)
        raise ValueError

    async def serve() -> Ids:
        with TRACED.start_as_current_span("request") as span:
            with pytest.raises(ValueError):  # noqa: PT011
                await score()
            return ids(span)

    first, last = asyncio.run(serve()), asyncio.run(serve())
    found = exemplars(registry)
    assert last in found
    assert all(each in (first, last) for each in found)  # the first one's stays where it was in another bucket


def test_an_unsampled_span_is_no_exemplar(score: Callable[..., Any], registry: CollectorRegistry) -> None:
    with UNSAMPLED.start_as_current_span("request"):
        score(lasts=0.03)
        with pytest.raises(ValueError):  # noqa: PT011
            score(fails=True)
    score()
    assert exemplars(registry) == []


def test_a_stage_under_opentelemetrys_decorator_is_linked_to_its_own_span(
    pipeline: pipemon.Pipeline, registry: CollectorRegistry
) -> None:
    seen = []

    @TRACED.start_as_current_span("score")
    @pipeline.stage("score")
    def score() -> int:
        from opentelemetry.trace import get_current_span

        seen.append(ids(get_current_span()))
        return 1

    score()
    assert exemplars(registry) == seen


@pytest.mark.integration
def test_prometheus_stores_the_exemplars(
    score: Callable[..., Any], registry: CollectorRegistry, tmp_path: Path
) -> None:
    exposition = pipemon.expose(port=0, addr="127.0.0.1", registry=registry)
    targets = [f"127.0.0.1:{exposition.port}"]
    scrape = {"job_name": "churn", "scrape_interval": "200ms", "static_configs": [{"targets": targets}]}
    (tmp_path / "prometheus.yml").write_text(json.dumps({"scrape_configs": [scrape]}))  # JSON is YAML
    with TRACED.start_as_current_span("request") as span:
        score()
    (port,) = free_ports(1)
    command = prometheus_command(program("prometheus"), tmp_path / "prometheus.yml", tmp_path / "data", port)
    query = urlencode({"query": "pipemon_stage_duration_seconds_bucket", "start": 0, "end": time.time() + 3600})
    with children() as started:
        started.append(
            start("prometheus", [*command, "--enable-feature=exemplar-storage"], tmp_path / "prometheus.log")
        )

        def stored() -> Any:
            started[0].check()
            try:
                with urlopen(f"http://127.0.0.1:{port}/api/v1/query_exemplars?{query}", timeout=120) as response:
                    return json.load(response)["data"]
            except OSError:
                return None

        (series,) = until(stored, "exemplars in Prometheus")
    exposition.close()
    assert series["seriesLabels"]["stage"] == "score"
    assert [each["labels"] for each in series["exemplars"]] == [ids(span)]
