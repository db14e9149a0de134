# mypy: disable-error-code="no-untyped-call"
"""Runs from end to end: their id, edges and failed stage."""

from __future__ import annotations

import asyncio
import pickle
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry

import pipemon
from pipemon import Pipeline

Read = Callable[..., float | None]


def edges(registry: CollectorRegistry) -> set[tuple[str, str]]:
    return {
        (sample.labels["upstream"], sample.labels["stage"])
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "pipemon_stage_upstream_info"
    }


def failed_stages(registry: CollectorRegistry) -> dict[str, float]:
    return {
        sample.labels["failed_stage"]: sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "pipemon_pipeline_failures_total"
    }


def run_id() -> str:
    run = pipemon.current_run()
    assert run is not None
    return run.id


def passing(speech: Pipeline, name: str, **options: object) -> Callable[[object], object]:
    return speech.stage(name, **options)(lambda value: value)  # type: ignore[call-overload, no-any-return]


def test_a_run_has_one_id_of_32_hex_digits_and_no_other_run_has(speech: Pipeline) -> None:
    @speech.run
    def answer() -> tuple[str, str]:
        return run_id(), run_id()

    (first, again), (second, _) = answer(), answer()
    assert first == again != second
    assert re.fullmatch(r"[0-9a-f]{32}", first)


def test_outside_of_a_run_there_is_none(speech: Pipeline) -> None:
    @speech.run
    def answer() -> None:
        raise ValueError("broken")

    assert pipemon.current_run() is None
    with pytest.raises(ValueError, match="broken"):
        answer()
    assert pipemon.current_run() is None


async def test_tasks_and_threads_of_a_run_belong_to_it_and_runs_at_once_stay_apart(speech: Pipeline) -> None:
    async def ask() -> str:
        await asyncio.sleep(0)
        return run_id()

    @speech.run
    async def answer() -> set[str]:
        ids = {run_id(), *await asyncio.gather(ask(), ask()), await asyncio.to_thread(run_id)}
        context, found = copy_context(), []
        thread = threading.Thread(target=lambda: found.append(context.run(run_id)))
        thread.start()
        thread.join()
        return ids | set(found)

    first, second = await asyncio.gather(answer(), answer())
    assert len(first) == len(second) == 1
    assert first != second


async def test_runs_are_counted_timed_and_in_progress(speech: Pipeline, read: Read) -> None:
    gate = asyncio.Event()

    @speech.run
    async def answer(fails: bool) -> None:
        await gate.wait()
        if fails:
            raise ValueError("broken")

    tasks = [asyncio.create_task(answer(fails)) for fails in (True, False, False)]
    await asyncio.sleep(0)
    assert read("pipemon_pipeline_in_progress") == 3
    tasks[1].cancel()
    gate.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert read("pipemon_pipeline_runs_total") == 3
    assert read("pipemon_pipeline_duration_seconds_count") == 3
    assert read("pipemon_pipeline_failures_total", failed_stage="other") == 1
    assert read("pipemon_pipeline_in_progress") == 0


def test_the_stage_before_in_the_run_is_the_upstream_of_one_that_does_not_say(
    speech: Pipeline, registry: CollectorRegistry
) -> None:
    vad, asr, punctuate = (passing(speech, name) for name in ("vad", "asr", "punctuate"))
    declared = passing(speech, "declared", after="vad")
    root = passing(speech, "root", after=None)

    @speech.run
    def answer(value: int) -> object:
        return root(declared(punctuate(asr(vad(value)))))

    answer(1)
    assert edges(registry) == {("vad", "asr"), ("asr", "punctuate"), ("vad", "declared")}


async def test_branches_that_run_at_once_share_their_upstream(speech: Pipeline, registry: CollectorRegistry) -> None:
    async def later(value: object) -> object:
        await asyncio.sleep(0)
        return value

    vad = passing(speech, "vad")
    left, right = speech.stage("left")(later), speech.stage("right")(later)

    @speech.run
    async def answer(value: int) -> object:
        return await asyncio.gather(left(vad(value)), right(value))

    await answer(1)
    assert edges(registry) == {("vad", "left"), ("vad", "right")}


def test_a_loop_over_stages_adds_no_edge_back(speech: Pipeline, registry: CollectorRegistry) -> None:
    vad, asr = passing(speech, "vad"), passing(speech, "asr")

    @speech.run
    def answer(chunks: int) -> None:
        for chunk in range(1, chunks):
            asr(asr(vad(chunk)))

    answer(4)
    assert edges(registry) == {("vad", "asr")}


def test_calls_outside_of_a_run_or_in_another_pipelines_run_infer_nothing(
    speech: Pipeline, registry: CollectorRegistry
) -> None:
    vad, asr = passing(speech, "vad"), passing(speech, "asr")
    other = Pipeline("other", registry=registry)
    inner = other.stage("inner")(lambda value: value)
    asr(vad(1))

    @other.run
    def nested(value: object) -> object:
        return asr(inner(vad(value)))

    assert nested(1) == 1
    assert edges(registry) == set()


def test_the_failed_stage_is_the_one_whose_exception_left_the_run(
    speech: Pipeline, registry: CollectorRegistry
) -> None:
    @speech.stage
    def vad(fails: bool) -> None:
        if fails:
            raise ValueError("vad")

    @speech.stage
    def asr(fails: bool) -> None:
        if fails:
            raise LookupError("asr")

    @speech.run
    def answer(vad_fails: bool, asr_fails: bool, run_fails: bool) -> None:
        with suppress(ValueError):
            vad(vad_fails)
        asr(asr_fails)
        if run_fails:
            raise RuntimeError("outside any stage")

    answer(True, False, False)
    assert failed_stages(registry) == {"other": 0, "vad": 0, "asr": 0}
    with pytest.raises(LookupError):
        answer(True, True, False)
    assert failed_stages(registry) == {"other": 0, "vad": 0, "asr": 1}
    with pytest.raises(RuntimeError):
        answer(True, False, True)
    assert failed_stages(registry) == {"other": 1, "vad": 0, "asr": 1}


def test_of_the_stages_that_an_exception_leaves_the_innermost_is_blamed(
    speech: Pipeline, registry: CollectorRegistry
) -> None:
    @speech.stage
    def inner() -> None:
        raise ValueError("inner")

    @speech.stage
    def outer() -> None:
        inner()

    with pytest.raises(ValueError, match="inner"):
        speech.run(outer)()
    assert failed_stages(registry) == {"other": 0, "inner": 1, "outer": 0}


@pytest.mark.parametrize("chained", [True, False])
def test_a_stage_is_blamed_for_what_was_raised_from_its_exception(
    speech: Pipeline, registry: CollectorRegistry, chained: bool
) -> None:
    @speech.stage
    def inner() -> None:
        raise ValueError("inner")

    @speech.stage
    def outer() -> None:
        try:
            inner()
        except ValueError as error:
            if chained:
                raise RuntimeError("outer") from error
            raise RuntimeError("outer")  # noqa: B904

    @speech.run
    def answer() -> None:
        try:
            outer()
        except RuntimeError as error:
            raise LookupError("run") from error

    with pytest.raises(LookupError):
        answer()
    assert failed_stages(registry) == {"other": 0, "inner": 1, "outer": 0}


def test_an_exception_kept_from_an_earlier_run_blames_nobody(speech: Pipeline, registry: CollectorRegistry) -> None:
    error = ValueError("raised again and again")

    @speech.stage
    def vad() -> None:
        raise error

    @speech.run
    def answer(through_vad: bool) -> None:
        if through_vad:
            vad()
        raise error

    for through_vad in (True, False):
        with pytest.raises(ValueError, match="again"):
            answer(through_vad)
    assert failed_stages(registry) == {"other": 1, "vad": 1}


def test_an_exception_that_refuses_attributes_passes_untouched_and_is_counted(
    speech: Pipeline, registry: CollectorRegistry, read: Read
) -> None:
    class Stubborn(Exception):
        def __setattr__(self, name: str, value: object) -> None:
            raise AttributeError(name)

    @speech.stage
    def vad() -> None:
        raise Stubborn

    speech_run = speech.run(lambda: [vad()])
    with pytest.raises(Stubborn):
        speech_run()
    assert read("pipemon_stage_failures_total", stage="vad") == 1
    assert failed_stages(registry) == {"other": 1, "vad": 0}


async def test_a_group_of_exceptions_is_looked_into(speech: Pipeline, registry: CollectorRegistry) -> None:
    @speech.stage
    async def vad() -> None:
        raise ValueError("broken")

    @speech.run
    async def answer() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(vad())

    with pytest.raises(ExceptionGroup):
        await answer()
    assert failed_stages(registry) == {"other": 0, "vad": 1}


async def test_a_timeout_blames_the_stage_that_it_cut_off(speech: Pipeline, registry: CollectorRegistry) -> None:
    @speech.stage
    async def asr() -> None:
        await asyncio.Event().wait()

    @speech.run
    async def answer() -> None:
        async with asyncio.timeout(0.01):
            await asr()

    with pytest.raises(TimeoutError):
        await answer()
    assert failed_stages(registry) == {"other": 0, "asr": 1}


def in_a_thread(function: Callable[[], object]) -> object:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


def as_if_in_another_process(function: Callable[[], object]) -> object:
    """Raise what comes back from a worker process: a copy of the exception."""
    try:
        return in_a_thread(function)
    except ValueError as error:
        raise pickle.loads(pickle.dumps(error)) from None


@pytest.mark.parametrize("execute", [in_a_thread, as_if_in_another_process])
def test_a_stage_in_an_executor_that_knows_of_no_run_is_blamed_too(
    speech: Pipeline, registry: CollectorRegistry, execute: Callable[[Callable[[], object]], object]
) -> None:
    @speech.stage
    def inner() -> None:
        raise ValueError("inner")

    @speech.stage
    def outer() -> None:
        inner()

    with pytest.raises(ValueError, match="inner"):
        speech.run(lambda: execute(outer))()
    assert failed_stages(registry) == {"other": 0, "inner": 1, "outer": 0}


def test_a_stage_of_another_pipeline_is_not_blamed(registry: CollectorRegistry) -> None:
    speech, other = Pipeline("speech", registry=registry), Pipeline("other", registry=registry)

    @other.stage
    def inner() -> None:
        raise ValueError("inner")

    with pytest.raises(ValueError, match="inner"):
        speech.run(inner)()
    assert failed_stages(registry) == {"other": 1}
    with pytest.raises(ValueError, match="inner"):
        other.run(speech.stage("outer")(inner))()
    assert ("pipemon_pipeline_failures_total", "inner", 1) in {
        (sample.name, sample.labels.get("failed_stage"), sample.value)
        for metric in registry.collect()
        for sample in metric.samples
    }


def test_a_shadow_stage_is_neither_blamed_nor_upstream_of_anything(
    speech: Pipeline, registry: CollectorRegistry, read: Read
) -> None:
    asr, punctuate = passing(speech, "asr"), passing(speech, "punctuate")

    @speech.stage("candidate", track="shadow")
    def candidate(fails: bool) -> None:
        if fails:
            raise LookupError("shadow")

    @speech.run
    def answer(fails: bool) -> object:
        text = asr("text")
        try:
            candidate(fails)
        except LookupError:
            raise RuntimeError("outside any stage")  # noqa: B904
        return punctuate(text)

    assert answer(False) == "text"
    with pytest.raises(RuntimeError):
        answer(True)
    assert edges(registry) == {("asr", "candidate"), ("asr", "punctuate")}
    assert failed_stages(registry) == {"other": 1, "asr": 0, "candidate": 0, "punctuate": 0}
    assert read("pipemon_stage_failures_total", stage="candidate", track="shadow") == 1


def test_a_stage_declared_after_the_run_has_its_zero_too(speech: Pipeline, registry: CollectorRegistry) -> None:
    passing(speech, "before")
    speech.run(lambda: 1)
    passing(speech, "later")
    assert failed_stages(registry) == {"before": 0, "later": 0, "other": 0}


def test_a_run_that_is_also_a_stage_counts_as_both(speech: Pipeline, read: Read) -> None:
    @speech.run
    @speech.stage("all")
    def answer() -> int:
        return 1

    assert answer() == 1
    assert read("pipemon_pipeline_runs_total") == 1
    assert read("pipemon_stage_calls_total", stage="all") == 1


def test_feedback_counts_a_declared_signal(registry: CollectorRegistry, read: Read) -> None:
    speech = Pipeline("speech", registry=registry, feedback=["angry"])
    passing(speech, "asr", feedback=["typo"])
    for signal in ("redo", "redo", "angry", "typo"):
        speech.feedback(signal, stage="asr")
    assert read("pipemon_feedback_total", stage="asr", signal="redo", slice="") == 2
    assert read("pipemon_feedback_total", stage="asr", signal="angry") == 1
    assert read("pipemon_feedback_total", stage="asr", signal="typo") == 1
    assert read("pipemon_feedback_total", stage="asr", signal="accepted") == 0


def test_feedback_that_was_not_declared_is_logged_once_with_the_nearest_name(
    speech: Pipeline, read: Read, caplog: pytest.LogCaptureFixture
) -> None:
    passing(speech, "asr")
    for _ in range(2):
        speech.feedback("correctd", stage="asr")
        speech.feedback("redo", stage="ars")
        speech.feedback(None, stage=[])  # type: ignore[arg-type]
    assert read("pipemon_feedback_total", stage="asr", signal="other") == 2
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [
        "feedback on stage asr counts as other: there is no signal 'correctd'; did you mean 'corrected'?",
        "feedback: there is no stage 'ars'; did you mean 'asr'?",
        "feedback: there is no stage of that name; the names are asr",
    ]


def test_a_signal_that_is_like_no_name_is_not_logged_since_it_may_be_a_users_words(
    speech: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    passing(speech, "asr")
    speech.feedback("my name is Jane", stage="asr")
    assert "Jane" not in caplog.text
    assert "the names are redo, accepted, corrected, other" in caplog.text


class Unprintable:
    def __str__(self) -> str:
        raise ValueError


def test_feedback_that_cannot_be_counted_is_logged_and_never_raises(
    speech: Pipeline, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(self: object) -> None:
        raise OSError("no space left")

    passing(speech, "asr")
    monkeypatch.setattr(prometheus_client.Counter, "inc", fail)
    for _ in range(2):
        speech.feedback("redo", stage="asr")
    speech.feedback("redo", stage=Unprintable())  # type: ignore[arg-type]
    # What earlier tests left behind may be flushed meanwhile, and can't be counted either.
    messages = [record.getMessage() for record in caplog.records]
    assert [message for message in messages if "feedback" in message] == ["feedback could not be counted"]
