"""A run goes on in other threads and processes, and in services that the cascade spans."""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import asyncio
import multiprocessing
import pickle
import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

import pipemon
from pipemon import Pipeline, Run

Read = Callable[..., float | None]


def run_id() -> str:
    run = pipemon.current_run()
    return "" if run is None else run.id


def edges(registry: CollectorRegistry) -> set[tuple[str, str]]:
    return {
        (sample.labels["upstream"], sample.labels["stage"])
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "pipemon_stage_upstream_info"
    }


def carried(speech: Pipeline) -> tuple[str, dict[str, str]]:
    """The id and headers of a run of `speech` after its stage vad."""
    vad = speech.stage("vad")(lambda: 1)

    @speech.run
    def answer() -> tuple[str, dict[str, str]]:
        vad()
        run = pipemon.current_run()
        assert run is not None
        return run.id, run.headers()

    return answer()


def test_headers_are_those_of_w3c_trace_context(speech: Pipeline) -> None:
    token, headers = carried(speech)
    assert re.fullmatch(rf"00-{token}-[0-9a-f]{{16}}-01", headers["traceparent"])
    assert headers["tracestate"] == "pipemon=speech:vad"


def test_a_cascade_that_spans_services_is_one_pipeline(speech: Pipeline) -> None:
    token, headers = carried(speech)
    there = CollectorRegistry()
    other = Pipeline("speech", registry=there)
    asr = other.stage("asr")(run_id)

    @other.run
    def service() -> str:
        return asr()

    with Run.from_headers({name.title(): value for name, value in headers.items()}) as run:
        assert asr() == token == run.id
        assert service() == token
    assert pipemon.current_run() is None
    assert edges(there) == {("vad", "asr")}


def test_a_trace_that_others_began_is_a_run_of_the_first_pipeline_in_it(registry: CollectorRegistry) -> None:
    speech = Pipeline("speech", registry=registry)
    vad, asr = speech.stage("vad")(lambda: 1), speech.stage("asr")(run_id)
    with Run.from_headers({"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-00", "tracestate": "congo=t61rcWkgMzE"}):
        vad()
        assert asr() == "ab" * 16
    assert edges(registry) == {("vad", "asr")}


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "00",
        "rubbish",
        f"00-{'0' * 32}-{'1' * 16}-01",
        f"00-{'g' * 32}-{'1' * 16}-01",
        f"00-{'a' * 31}-{'1' * 16}-01",
    ],
)
def test_headers_that_say_nothing_give_a_new_run(traceparent: str) -> None:
    with Run.from_headers({"traceparent": traceparent}):
        assert re.fullmatch("[0-9a-f]{32}", run_id())


@given(st.dictionaries(st.sampled_from(["traceparent", "tracestate", "TraceParent", "x"]), st.text()))
def test_no_headers_raise(headers: dict[str, str]) -> None:
    with Run.from_headers(headers):
        assert len(run_id()) == 32


def test_what_is_no_mapping_does_not_raise() -> None:
    with Run.from_headers(None):  # type: ignore[arg-type]
        assert len(run_id()) == 32


def test_an_executors_threads_take_part_in_a_run_that_is_bound(speech: Pipeline) -> None:
    @speech.run
    def answer() -> tuple[str, str, str]:
        run = pipemon.current_run()
        assert run is not None
        with ThreadPoolExecutor(1) as pool:
            return run.id, pool.submit(run_id).result(), pool.submit(run.bound(run_id)).result()

    own, loose, bound = answer()
    assert (loose, bound) == ("", own)


def test_an_executors_processes_too(speech: Pipeline) -> None:
    token, headers = carried(speech)
    bound = Run.from_headers(headers).bound(run_id)
    assert pickle.loads(pickle.dumps(bound))() == token
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(bound).result() == token


async def test_runs_at_once_in_one_run_object_stay_apart() -> None:
    run = Run.from_headers({})

    async def work() -> str:
        with run:
            await asyncio.sleep(0)
            return run_id()

    assert set(await asyncio.gather(work(), work(), work())) == {run.id}
    assert run_id() == ""


def test_other_vendors_entries_and_the_sampling_decision_are_carried_on() -> None:
    told = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-00", "tracestate": "congo=t61rcWkgMzE, pipemon=p:vad,rojo=1"}
    headers = Run.from_headers(told).headers()
    assert headers["traceparent"].startswith(f"00-{'ab' * 16}-")
    assert headers["traceparent"].endswith("-00")
    assert headers["tracestate"] == "pipemon=p:vad,congo=t61rcWkgMzE,rojo=1"
    assert Run.from_headers({}).headers(sampled=False)["traceparent"].endswith("-00")


def test_stages_named_by_others_headers_are_bounded(registry: CollectorRegistry) -> None:
    asr = Pipeline("speech", registry=registry).stage("asr")(run_id)
    for number in range(100):
        with Run.from_headers(
            {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01", "tracestate": f"pipemon=speech:s{number}"}
        ):
            asr()
    assert len(edges(registry)) == 20
