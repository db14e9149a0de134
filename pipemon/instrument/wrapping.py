"""The functions that stand in for the user's: each call becomes one record in the buffer."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from pipemon.catalogue import OTHER
from pipemon.instrument import run as runs
from pipemon.instrument.log import log_once
from pipemon.instrument.outcome import CANCELLED, ERROR, NULL, OK, is_null, of_exception
from pipemon.instrument.recorder import Recorder
from pipemon.instrument.series import EXCEPTION, EXTRACTOR_ERROR, FAILED_STAGE, UPSTREAM

_LOG_EVERY = 60.0


@dataclass(frozen=True)
class InputFeature:
    """A feature of a parameter: where the parameter is in a call, and the extractor."""

    name: str
    position: int
    parameter: str
    default: object
    extractor: Callable[[Any], object]


@dataclass(frozen=True)
class OutputFeature:
    """A feature of the result."""

    name: str
    extractor: Callable[[Any], object]


def is_async(function: object) -> bool:
    """Tell whether calling it gives a coroutine; an object with an async `__call__` counts."""
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or (
        not inspect.isroutine(function) and inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004
    )


def number(value: Any) -> float:
    """Return an extractor's value as a float, NaN for whatever is no number."""
    if value is None or isinstance(value, str | bytes) or getattr(value, "ndim", None):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def wrap_stage(
    function: Callable[..., Any],
    *,
    pipeline: str,
    stage: str,
    recorder: Recorder,
    inputs: tuple[InputFeature, ...],
    outputs: tuple[OutputFeature, ...],
    null: Callable[[Any], object] | None,
    infer_upstream: bool,
) -> Callable[..., Any]:
    """Return a function like `function` whose calls are recorded.

    The host comes first: what the user's function returns or raises passes untouched, and nothing
    that pipemon or an extractor does wrong gets out.
    """
    extend, buffer, limit = recorder.buffer.extend, recorder.buffer, recorder.limit
    enter, leave = recorder.running.append, recorder.running.pop
    known_upstreams = {None, stage}
    looked_up = tuple((f.name, f.position, f.parameter, f.default, f.extractor) for f in inputs)
    taken = tuple((f.name, f.extractor) for f in outputs)
    untaken = (None,) * len(outputs)
    nan = math.nan

    def extractor_failed(direction: str, feature: str) -> None:
        recorder.note(EXTRACTOR_ERROR, f"{direction}.{feature}")
        log_once(
            ("extractor", pipeline, stage, direction, feature),
            "stage %s: the extractor of %s %s raised", stage, direction, feature,
            every=_LOG_EVERY, exc=True,
        )  # fmt: skip

    def record(
        begun: float, ended: float, outcome: int, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
    ) -> None:
        row: list[float | None] = [begun, ended, outcome]
        for name, position, parameter, default, extract in looked_up:
            value = args[position] if position < len(args) else kwargs.get(parameter, default)
            if value is None:
                row.append(nan)
                continue
            try:
                value = extract(value)
                row.append(value if value.__class__ is float else number(value))
            except Exception:  # noqa: BLE001
                row.append(None)
                extractor_failed("input", name)
        if result is None:
            row.extend(untaken)
        else:
            for name, extract in taken:
                try:
                    value = extract(result)
                    row.append(value if value.__class__ is float else number(value))
                except Exception:  # noqa: BLE001
                    row.append(None)
                    extractor_failed("output", name)
        extend(row)
        if len(buffer) >= limit[0]:
            recorder.full()

    def begin() -> runs.Run | None:
        run = runs.current()
        if run is not None:
            if run.pipeline != pipeline:
                run = None
            elif infer_upstream and run.last_stage not in known_upstreams:
                known_upstreams.add(run.last_stage)
                recorder.note(UPSTREAM, str(run.last_stage))
        enter(None)
        return run

    def end() -> None:
        try:
            leave()
        except IndexError:
            pass  # a forked child ends the calls that its parent began

    def returned(
        run: runs.Run | None, begun: float, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
    ) -> None:
        ended = perf_counter()
        end()
        if run is not None:
            run.last_stage = stage
        outcome = OK
        if null is None or result is None:
            outcome = NULL if is_null(result) else OK
        else:
            try:
                outcome = NULL if null(result) else OK
            except Exception:  # noqa: BLE001
                extractor_failed("output", "null")
        record(begun, ended, outcome, args, kwargs, result)

    def raised(
        run: runs.Run | None, begun: float, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException
    ) -> None:
        ended = perf_counter()
        end()
        outcome = of_exception(error)
        if run is not None:
            run.blame(stage, error)
        if outcome == ERROR:
            recorder.note(EXCEPTION, type(error).__name__)
        record(begun, ended, outcome, args, kwargs, None)

    return _wrap(function, begin, returned, raised)


def wrap_run(function: Callable[..., Any], *, pipeline: str, recorder: Recorder) -> Callable[..., Any]:
    """Return a function like `function`, each call of which is a run."""
    extend, buffer, limit = recorder.buffer.extend, recorder.buffer, recorder.limit
    running = recorder.running

    def begin() -> tuple[runs.Run, Any]:
        run = runs.Run(pipeline, perf_counter())
        running.append(None)
        return run, runs.enter(run)

    def end(begun: float, token: Any) -> None:
        extend((begun, perf_counter()))
        if running:
            running.pop()
        if len(buffer) >= limit[0]:
            recorder.full()
        try:
            runs.leave(token)
        except ValueError:
            pass  # a coroutine that is closed in another context than it began in

    def returned(state: Any, begun: float, args: object, kwargs: object, result: object) -> None:
        end(begun, state[1])

    def raised(state: Any, begun: float, args: object, kwargs: object, error: BaseException) -> None:
        run, token = state
        end(begun, token)
        if of_exception(error) != CANCELLED:
            recorder.note(FAILED_STAGE, run.failed_stage(error) or OTHER)

    return _wrap(function, begin, returned, raised)


def _wrap(
    function: Callable[..., Any],
    begin: Callable[[], Any],
    returned: Callable[..., None],
    raised: Callable[..., None],
) -> Callable[..., Any]:
    if is_async(function):

        @functools.wraps(function)
        async def async_wrapper(*args: Any, **kwargs: Any) -> Any:
            state = begin()
            begun = perf_counter()
            try:
                result = await function(*args, **kwargs)
            except BaseException as error:
                try:
                    raised(state, begun, args, kwargs, error)
                except Exception:  # noqa: BLE001
                    _not_recorded()
                raise
            try:
                returned(state, begun, args, kwargs, result)
            except Exception:  # noqa: BLE001
                _not_recorded()
            return result

        return async_wrapper

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        state = begin()
        begun = perf_counter()
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            try:
                raised(state, begun, args, kwargs, error)
            except Exception:  # noqa: BLE001
                _not_recorded()
            raise
        try:
            returned(state, begun, args, kwargs, result)
        except Exception:  # noqa: BLE001
            _not_recorded()
        return result

    return wrapper


def _not_recorded() -> None:
    log_once("record", "a call could not be recorded", exc=True)
