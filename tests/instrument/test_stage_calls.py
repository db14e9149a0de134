# mypy: disable-error-code="no-untyped-call"
"""What a decorated function does, and what is counted of it."""

from __future__ import annotations

import asyncio
import copy
import functools
import inspect
import logging
import pickle
import threading
import time
import traceback
import typing
from collections import UserList, deque
from collections.abc import Callable
from typing import Any, assert_type

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from pipemon import DeclarationError, Feature, Pipeline
from pipemon.features import length

Read = Callable[..., float | None]
OUTCOMES = ("null_outputs", "failures", "cancelled")


def outcomes(read: Read, stage: str) -> dict[str, float | None]:
    return {name: read(f"pipemon_stage_{name}_total", stage=stage) for name in ("calls", *OUTCOMES)}


def test_a_call_that_returns_counts_as_a_call_and_nothing_else(speech: Pipeline, read: Read) -> None:
    @speech.stage
    def vad(audio: list[int]) -> list[int]:
        return audio

    assert vad([1]) == [1]
    assert outcomes(read, "vad") == {"calls": 1, "null_outputs": 0, "failures": 0, "cancelled": 0}
    assert read("pipemon_stage_duration_seconds_count", stage="vad") == 1


async def test_an_async_stage_is_timed_until_its_result_is_there(speech: Pipeline, read: Read) -> None:
    @speech.stage("asr")
    async def transcribe(gate: asyncio.Event) -> str:
        await gate.wait()
        return "hello"

    gate = asyncio.Event()
    task = asyncio.create_task(transcribe(gate))
    await asyncio.sleep(0)
    assert outcomes(read, "asr")["calls"] == 0
    assert read("pipemon_stage_in_progress", stage="asr") == 1
    gate.set()
    assert await task == "hello"
    assert outcomes(read, "asr")["calls"] == 1
    assert read("pipemon_stage_in_progress", stage="asr") == 0


def test_an_exception_passes_untouched_and_counts_as_a_failure(speech: Pipeline, read: Read) -> None:
    error = ValueError("broken")

    @speech.stage
    def vad() -> None:
        raise error

    with pytest.raises(ValueError, match="broken") as caught:
        vad()
    assert caught.value is error
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert outcomes(read, "vad") == {"calls": 1, "null_outputs": 0, "failures": 1, "cancelled": 0}
    assert read("pipemon_stage_exceptions_total", stage="vad", exception="ValueError") == 1
    assert read("pipemon_stage_in_progress", stage="vad") == 0
    assert read("pipemon_stage_duration_seconds_count", stage="vad") == 1


def test_the_twenty_first_exception_class_counts_as_other(speech: Pipeline, read: Read) -> None:
    @speech.stage
    def vad(error: Exception) -> None:
        raise error

    kinds = [type(f"Broken{number}", (Exception,), {}) for number in range(25)]
    for kind in (*kinds, kinds[0]):
        with pytest.raises(kind):
            vad(kind())
    assert read("pipemon_stage_exceptions_total", exception="Broken0") == 2
    assert read("pipemon_stage_exceptions_total", exception="Broken19") == 1
    assert read("pipemon_stage_exceptions_total", exception="Broken20") is None
    assert read("pipemon_stage_exceptions_total", exception="other") == 5


@pytest.mark.parametrize("kind", [asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_no_exception_counts_as_cancelled(speech: Pipeline, read: Read, kind: type[BaseException]) -> None:
    @speech.stage
    def vad() -> None:
        raise kind

    with pytest.raises(kind):
        vad()
    assert outcomes(read, "vad") == {"calls": 1, "null_outputs": 0, "failures": 0, "cancelled": 1}


async def test_a_cancelled_task_is_no_failure_and_leaves_nothing_in_progress(speech: Pipeline, read: Read) -> None:
    @speech.stage
    async def asr() -> None:
        await asyncio.Event().wait()

    task = asyncio.create_task(asr())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert outcomes(read, "asr") == {"calls": 1, "null_outputs": 0, "failures": 0, "cancelled": 1}
    assert read("pipemon_stage_in_progress", stage="asr") == 0


async def test_a_coroutine_closed_before_its_end_counts_as_cancelled(speech: Pipeline, read: Read) -> None:
    @speech.stage
    async def asr() -> None:
        await asyncio.sleep(10)

    coroutine = asr()
    coroutine.send(None)
    coroutine.close()
    assert outcomes(read, "asr") == {"calls": 1, "null_outputs": 0, "failures": 0, "cancelled": 1}


class Lazy:
    """A query that would run if asked how many rows it has."""

    def __len__(self) -> int:
        raise AssertionError("the query ran")


class Tensor:
    def __init__(self, *shape: object) -> None:
        self.shape = shape


class Symbol:
    def __eq__(self, other: object) -> bool:
        raise TypeError("not known before it is computed")

    __hash__ = None  # type: ignore[assignment]


NULL: list[Any] = [
    None,
    float("nan"),
    np.float32("nan"),
    "",
    b"",
    bytearray(),
    [],
    (),
    {},
    set(),
    frozenset(),
    deque(),
    range(0),
    UserList(),
    Tensor(0, 3),
]
NULL += [np.array([]), np.zeros((0, 3)), np.full(3, np.nan), np.array(np.nan)]
USABLE: list[Any] = [
    0,
    0.0,
    False,
    "x",
    [None],
    [""],
    {"": None},
    deque([0]),
    range(1),
    Tensor(),
    Tensor(1, 2),
    Tensor(Symbol()),
    Lazy(),
    object(),
    np.zeros(3),
    np.float64(0),
]
USABLE += [np.array([np.nan, 1.0]), np.array(0), np.array(["a"]), float("inf"), 1j]


@pytest.mark.parametrize("result", NULL, ids=lambda value: type(value).__name__)
def test_nothing_usable_is_a_null_output(speech: Pipeline, read: Read, result: object) -> None:
    assert speech.stage("vad")(lambda: result)() is result
    assert outcomes(read, "vad") == {"calls": 1, "null_outputs": 1, "failures": 0, "cancelled": 0}


@pytest.mark.parametrize("result", USABLE, ids=lambda value: type(value).__name__)
def test_zero_false_and_whatever_has_content_is_no_null_output(speech: Pipeline, read: Read, result: object) -> None:
    assert speech.stage("vad")(lambda: result)() is result
    assert outcomes(read, "vad") == {"calls": 1, "null_outputs": 0, "failures": 0, "cancelled": 0}


def test_a_null_rule_of_ones_own_replaces_the_default_but_none_stays_null(speech: Pipeline, read: Read) -> None:
    vad = speech.stage("vad", null=lambda result: result == "silence")(lambda result: result)
    for result in ("silence", "", None):
        vad(result)
    assert outcomes(read, "vad")["null_outputs"] == 2


def test_a_null_rule_that_raises_is_counted_and_the_call_is_ok(speech: Pipeline, read: Read) -> None:
    vad = speech.stage("vad", null=lambda result: result.text == "")(lambda result: result)
    assert vad("no text attribute") == "no text attribute"
    assert outcomes(read, "vad")["null_outputs"] == 0
    assert read("pipemon_extractor_errors_total", stage="vad", direction="output", feature="null") == 1


def test_the_function_keeps_its_signature_name_annotations_and_docstring(speech: Pipeline) -> None:
    def vad(audio: list[int], /, rate: int = 16, *, mode: str = "soft") -> list[int]:
        """Find speech."""
        return audio

    stage = speech.stage(vad)
    assert inspect.signature(stage) == inspect.signature(vad)
    assert (stage.__name__, stage.__doc__, stage.__module__) == ("vad", "Find speech.", __name__)
    assert typing.get_type_hints(stage) == typing.get_type_hints(vad)
    assert not inspect.iscoroutinefunction(stage)


async def test_an_async_function_stays_one(speech: Pipeline) -> None:
    async def asr(audio: str, *more: str, **options: str) -> str:
        return audio

    stage = speech.stage(asr)
    assert inspect.iscoroutinefunction(stage)
    assert inspect.signature(stage) == inspect.signature(asr)


def everything(a: int, b: int = 2, /, c: int = 3, *rest: int, d: int, e: int = 5, **more: int) -> object:
    return (a, b, c, rest, d, e, more)


def no_extras(a: int, b: int = 2, /, c: int = 3, *, d: int, e: int = 5) -> object:
    return (a, b, c, d, e)


def only_positional(a: int, b: int = 2, /) -> object:
    return (a, b)


@pytest.mark.parametrize(
    ("function", "args", "kwargs"),
    [
        (everything, (1,), {"d": 4}),
        (everything, (1, 2, 3, 4, 5), {"d": 4, "z": 9}),
        (no_extras, (1,), {"d": 4}),
        (no_extras, (9, 8), {"c": 7, "d": 6, "e": 5}),
        (no_extras, (9, 8, 7), {"d": 6}),
        (only_positional, (1,), {}),
        (only_positional, (1, 3), {}),
        (lambda: 1, (), {}),
    ],
)
def test_arguments_arrive_as_they_were_given(
    speech: Pipeline, function: Callable[..., object], args: tuple[int, ...], kwargs: dict[str, int]
) -> None:
    assert speech.stage("vad")(function)(*args, **kwargs) == function(*args, **kwargs)


@pytest.mark.parametrize("function", [everything, no_extras, only_positional])
def test_wrong_arguments_raise_as_they_would_without_pipemon(speech: Pipeline, function: Callable[..., object]) -> None:
    with pytest.raises(TypeError) as without:
        function()
    with pytest.raises(TypeError) as caught:
        speech.stage("vad")(function)()
    assert str(caught.value) == str(without.value)


def test_methods_class_methods_and_static_methods_can_be_stages(speech: Pipeline, read: Read) -> None:
    class Recogniser:
        @speech.stage("method", inputs={"text": length()})
        def method(self, text: str) -> object:
            return self

        @classmethod
        @speech.stage("classmethod", inputs={"text": length()})
        def of_class(cls, text: str) -> object:
            return cls

        @staticmethod
        @speech.stage("staticmethod", inputs={"text": length()})
        def static(text: str) -> object:
            return text

    recogniser = Recogniser()
    assert recogniser.method("abc") is recogniser
    assert Recogniser.of_class(text="abc") is Recogniser
    assert recogniser.static("abc") == "abc"
    for stage in ("method", "classmethod", "staticmethod"):
        assert read("pipemon_feature_sum_total", stage=stage, feature="text_length", sign="positive") == 3


async def test_partials_and_callable_objects_can_be_stages(speech: Pipeline, read: Read) -> None:
    class Recogniser:
        async def __call__(self, text: str) -> str:
            return text

    def join(a: str, b: str = "b", c: str = "c") -> str:
        return a + b + c

    partial = functools.partial(join, "a", c="ccc")
    stage = speech.stage("join", inputs={"b": length(), "c": length()})(partial)
    assert stage("bb") == "abbccc"
    assert read("pipemon_feature_sum_total", feature="b_length", sign="positive") == 2
    assert read("pipemon_feature_sum_total", feature="c_length", sign="positive") == 3
    asr = speech.stage("asr", inputs={"text": length()})(Recogniser())
    assert await asr("hello") == "hello"
    assert outcomes(read, "asr")["calls"] == 1
    assert read("pipemon_feature_sum_total", feature="text_length", sign="positive") == 5


def test_a_function_under_another_decorator_finds_its_parameters(speech: Pipeline, read: Read) -> None:
    def twice(function: Callable[..., str]) -> Callable[..., str]:
        @functools.wraps(function)
        def wrapper(*args: object, **kwargs: object) -> str:
            return function(*args, **kwargs) * 2

        return wrapper

    @speech.stage("asr", inputs={"b": length()})
    @twice
    def join(a: str, b: str = "bbbb") -> str:
        return a + b

    assert join("a") == "abbbbabbbb"
    assert join("a", "b") == "abab"
    assert join(b="bb", a="") == "bbbb"
    assert read("pipemon_feature_sum_total", feature="b_length", sign="positive") == 4 + 1 + 2


def test_a_function_that_takes_other_arguments_than_it_says_is_called_as_it_takes_them(
    speech: Pipeline, read: Read
) -> None:
    def told(audio: str, rate: int) -> str:
        return audio * rate

    @functools.wraps(told)
    def real(sound: str) -> str:
        return told(sound, 2)

    stage = speech.stage("vad", inputs={"audio": length()})(real)
    assert stage("abc") == "abcabc"
    assert stage(sound="abc") == "abcabc"
    assert read("pipemon_feature_sum_total", feature="audio_length", sign="positive") == 3
    assert read("pipemon_feature_missing_total", feature="audio_length") == 1


async def test_a_coroutine_from_a_stage_that_is_not_async_is_pointed_out(
    speech: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    async def slow(text: str) -> str:
        return text

    stage = speech.stage("asr")(lambda: slow("hello"))
    assert await stage() == "hello"
    assert "put @stage directly on the async function" in caplog.text


def test_a_stage_may_call_itself_and_other_stages(speech: Pipeline, read: Read) -> None:
    @speech.stage("count")
    def count_down(number: int) -> int:
        assert read("pipemon_stage_in_progress", stage="count") == 4 - number
        return count_down(number - 1) if number else 7

    assert count_down(3) == 7
    assert outcomes(read, "count")["calls"] == 4
    assert read("pipemon_stage_in_progress", stage="count") == 0


def test_calls_from_many_threads_are_all_counted(speech: Pipeline, read: Read) -> None:
    @speech.stage("vad", output=length())
    def vad(items: list[int]) -> list[int]:
        return items

    def work() -> None:
        for _ in range(3000):
            vad([1, 2])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes(read, "vad")["calls"] == 12_000
    assert read("pipemon_feature_sum_total", stage="vad", sign="positive") == 24_000
    assert read("pipemon_stage_in_progress", stage="vad") == 0


def test_two_versions_of_a_stage_have_series_of_their_own(speech: Pipeline, read: Read) -> None:
    stable = speech.stage("asr")(lambda: "old")
    canary = speech.stage("asr", version="2.0", track="canary")(lambda: "new")
    stable()
    canary()
    canary()
    assert read("pipemon_stage_calls_total", stage="asr", version="1.4", track="stable") == 1
    assert read("pipemon_stage_calls_total", stage="asr", version="2.0", track="canary") == 2
    assert [stage.name for stage in speech.describe().stages] == ["asr"]


def test_a_later_version_has_the_budget_and_the_bounds_of_the_first_since_their_buckets_are_added_up(
    speech: Pipeline, registry: CollectorRegistry, read: Read
) -> None:
    speech.stage("asr", budget="80ms")(lambda: "old")
    speech.stage("asr", version="2.0", track="canary")(lambda: "new")()
    speech.stage("asr", version="3.0", track="shadow", budget="90ms")(lambda: "newest")()
    assert read("pipemon_stage_budget_seconds", stage="asr", version="2.0", track="canary") == 0.08
    assert read("pipemon_stage_budget_seconds", stage="asr", version="3.0", track="shadow") == 0.09
    bounds: dict[str, set[str]] = {}
    for family in registry.collect():
        for sample in family.samples:
            if sample.name == "pipemon_stage_duration_seconds_bucket":
                bounds.setdefault(sample.labels["version"], set()).add(sample.labels["le"])
    assert bounds["2.0"] == bounds["1.4"] < bounds["3.0"]


def test_the_last_call_is_told_in_wall_clock_time_and_begins_with_the_declaration(speech: Pipeline, read: Read) -> None:
    before = time.time()
    vad = speech.stage("vad")(lambda: 1)
    declared = read("pipemon_stage_last_call_timestamp_seconds", stage="vad")
    assert declared is not None
    assert before <= declared <= time.time()
    vad()
    after = time.time()
    called = read("pipemon_stage_last_call_timestamp_seconds", stage="vad")
    assert called is not None
    assert declared < called < after + 0.1


def test_a_wall_clock_that_was_ahead_does_not_leave_the_last_call_in_the_future(
    speech: Pipeline, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    vad = speech.stage("vad")(lambda: 1)
    right = time.time
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: right() + 3600)
        vad()
        ahead = read("pipemon_stage_last_call_timestamp_seconds", stage="vad")
        assert ahead is not None
        assert ahead > right() + 3000
    vad()
    called = read("pipemon_stage_last_call_timestamp_seconds", stage="vad")
    assert called is not None
    assert called < right() + 1


def test_a_result_that_cannot_be_looked_at_is_returned_and_its_call_told_as_uncounted(
    speech: Pipeline, read: Read
) -> None:
    class Unbound:
        @property  # type: ignore[misc]
        def __class__(self) -> type:
            raise RuntimeError("no request is being served")

    result = Unbound()
    assert speech.stage("vad")(lambda: result)() is result
    assert outcomes(read, "vad")["calls"] == 0
    assert read("pipemon_observations_dropped_total", stage="vad") == 1
    assert read("pipemon_stage_in_progress", stage="vad") == 0


def test_a_log_filter_that_raises_does_not_reach_the_caller(speech: Pipeline, read: Read) -> None:
    def refuse(record: logging.LogRecord) -> bool:
        raise RuntimeError("the user's filter")

    vad = speech.stage("vad", output=Feature("broken", lambda _: 1 / 0))(lambda: "fine")
    logging.getLogger("pipemon").addFilter(refuse)
    try:
        assert vad() == "fine"
    finally:
        logging.getLogger("pipemon").removeFilter(refuse)
    assert read("pipemon_extractor_errors_total", feature="broken") == 1
    assert outcomes(read, "vad")["calls"] == 1


REFLECTED = Pipeline("reflected", registry=CollectorRegistry())


@REFLECTED.stage("double")
def double(text: str, /, times: int = 2, *, sep: str = "") -> str:
    return sep.join([text] * times)


@REFLECTED.run
async def answer(text: str) -> str:
    return double(text)


def test_a_decorated_function_can_be_pickled_and_copied_as_any_other() -> None:
    assert pickle.loads(pickle.dumps(double)) is double
    assert copy.deepcopy(double) is double
    assert pickle.loads(pickle.dumps(functools.partial(double, sep="-")))("a") == "a-a"


async def test_type_checkers_see_the_undecorated_signature() -> None:
    """`mypy` reads this file: a wrong argument or result type would be an error here."""
    assert_type(double("a", 3, sep="-"), str)
    assert_type(await answer("a"), str)
    with pytest.raises(TypeError):
        double(1, times="x")  # type: ignore[arg-type]


def test_parameters_may_have_any_name(speech: Pipeline, read: Read) -> None:
    @speech.stage("vad", inputs={"pm_result": length()})
    def vad(pm_result: str, pm_function: str = "x") -> str:
        return pm_result + pm_function

    @speech.stage("asr", inputs={"len": length()}, output=Feature("score", lambda _: 2), null=lambda _: 1 / 0)
    def asr(len: str, float: str = "y", Exception: str = "z", self: str = "") -> str:
        return len + float + Exception + self

    assert vad("ab") == "abx"
    assert asr("ab") == "abyz"
    assert read("pipemon_feature_sum_total", feature="pm_result_length", sign="positive") == 2
    assert read("pipemon_feature_sum_total", feature="len_length", sign="positive") == 2
    assert read("pipemon_feature_sum_total", feature="score", sign="positive") == 2


def test_the_stage_shows_its_own_lines_in_a_traceback(speech: Pipeline) -> None:
    @speech.stage
    def vad() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken") as caught:
        vad()
    assert "pm_result = pm_function()" in "".join(traceback.format_exception(caught.value))


def test_each_version_of_a_stage_shows_its_own_lines_in_a_traceback(speech: Pipeline) -> None:
    def vad(audio: str) -> None:
        raise ValueError(audio)

    stable = speech.stage("vad", inputs={"audio": length()})(vad)
    speech.stage("vad", version="2", track="canary")(lambda sound, rate: None)
    with pytest.raises(ValueError, match="hello") as caught:
        stable("hello")
    assert "pm_result = pm_function(audio)" in "".join(traceback.format_exception(caught.value))


def test_declarations_may_fail_but_say_so_with_an_exception_of_pipemons(speech: Pipeline) -> None:
    with pytest.raises(DeclarationError):
        speech.stage("vad", output=Feature("a name", len))(lambda: 1)
