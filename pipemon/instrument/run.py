"""One pass through the pipeline: its id, and which stage broke it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar, Token
from functools import partial
from time import time
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from pipemon.catalogue import OTHER
from pipemon.instrument.attribution import token_of
from pipemon.instrument.blame import failed_stage
from pipemon.instrument.log import log_once
from pipemon.instrument.outcome import ERROR, NULL, PLAIN, is_null, of_exception
from pipemon.instrument.recorder import Recorder
from pipemon.instrument.series import FAILED_STAGE
from pipemon.instrument.switch import disabled
from pipemon.instrument.tracing import enclosing_span
from pipemon.instrument.wrapping import Texts, is_async, kind_of, parameters_of, write_wrapper

if TYPE_CHECKING:
    from pipemon.instrument.calls import StageKey

P = ParamSpec("P")
R = TypeVar("R")

_VENDOR = "pipemon"
_TRACEPARENT = r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-([0-9a-f]{2})(?:-.*)?"
_STATE = rf"{_VENDOR}=([a-zA-Z0-9_.-]{{0,100}}):([a-zA-Z0-9_.-]{{0,100}})"
_LONGEST_TRACESTATE = 512
"""Characters that the standard asks everybody to carry on."""


class Run:
    """A run in progress, of the pipeline called `pipeline`. `last_stage` is the stage that ended last in it."""

    def __init__(self, pipeline: str) -> None:
        self.pipeline = pipeline
        self.last_stage: str | None = None
        self._flags: int | None = None
        self._tracestate = ""

    @property
    def id(self) -> str:
        """32 hex digits, made when first asked for; where OpenTelemetry traces, those of the trace."""
        made = self.__dict__
        if "_id" not in made:
            span = enclosing_span()
            # Atomic: all threads of a run get the same one.
            made.setdefault("_id", os.urandom(16).hex() if span is None else span.trace_id)
        token: str = made["_id"]
        return token

    @property
    def token(self) -> str:
        """What tells later which run this was, when, and which version of each stage served: `run=` takes it.

        A short text that can stand in a URL, a header or a database. Ask for it in the run, at its end. In it are
        the stages that this process declares, each with the version that was declared first, unless another one
        has returned in this run.
        """
        return token_of(self.pipeline, self.id, self.started, self.served)

    @property
    def started(self) -> float:
        """When the run was first asked for its time, in Unix seconds."""
        found: float = self.__dict__.setdefault("_started", time())
        return found

    @property
    def served(self) -> Mapping[str, StageKey]:
        """Of stages with several versions, the one that returned last, unless it is that declared first."""
        return self.__dict__.get("_served") or {}

    def serve(self, key: StageKey) -> None:
        """Note that a version of a stage other than that declared first has returned."""
        self.__dict__.setdefault("_served", {})[key.stage] = key

    def headers(self, *, sampled: bool = True) -> dict[str, str]:
        """Return what carries the run to another process: W3C's `traceparent` and `tracestate`.

        Add them to an HTTP request's headers or a message's fields. Where nothing traces here, whoever gets
        them takes from `sampled` whether to trace. Source: W3C Trace Context, level 1.
        """
        span = enclosing_span()
        parent, flags = os.urandom(8).hex(), int(sampled) if self._flags is None else self._flags
        if span is not None and span.trace_id == self.id:
            parent, flags = span.span_id, span.flags
        own = f"{_VENDOR}={self.pipeline}:{self.last_stage or ''}"
        return {
            "traceparent": f"00-{self.id}-{parent}-{flags:02x}",
            "tracestate": f"{own},{self._tracestate}" if self._tracestate else own,
        }

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> Run:
        """Return the run that `headers()` of another process described: `with Run.from_headers(request.headers):`.

        Names count in any case. Without a usable `traceparent` it is a new run; without pipemon's entry in
        `tracestate` it is a run of whichever pipeline's stage is called first. Never raises.
        """
        run = cls("")
        try:
            found = {str(name).lower(): str(value) for name, value in headers.items()}
            traceparent = re.fullmatch(_TRACEPARENT, found.get("traceparent", "").strip())
            if traceparent is not None and set(traceparent[1]) != {"0"}:
                run.__dict__["_id"] = traceparent[1]
                run._flags = int(traceparent[2], 16)
            others = []
            for entry in found.get("tracestate", "")[:_LONGEST_TRACESTATE].split(","):
                state = re.fullmatch(_STATE, entry.strip())
                if state is None:
                    others.append(entry.strip())
                else:
                    # Interned as the names in code are: comparing them is then one look.
                    run.pipeline = sys.intern(state[1])
                    run.last_stage = sys.intern(state[2]) if state[2] else None
            run._tracestate = ",".join(filter(None, others))
        except Exception:  # noqa: BLE001  whatever a framework passes as headers
            log_once("headers", "a run could not be read from headers", exc=True)
        return run

    def bound(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return `function` as part of this run, for an executor of threads or processes.

        `pool.submit(pipemon.current_run().bound(transcribe), audio)`: executors start without the context of
        who submits. Can be pickled where the function can.
        """
        bound: Any = partial(_await_in if is_async(function) else _call_in, self, function)
        return bound  # type: ignore[no-any-return]

    def of(self, pipeline: str) -> Run | None:
        """Return this run if it is the pipeline's, or nobody's yet; else None."""
        if not self.pipeline:
            self.pipeline = pipeline
        return self if self.pipeline == pipeline else None

    def __enter__(self) -> Run:
        _entered.set((*_entered.get(), _current.set(self)))
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ValueError, IndexError):  # left in another context than it was entered in
            *before, token = _entered.get() or ()
            _entered.set(tuple(before))
            _current.reset(token)

    def __reduce__(self) -> tuple[Callable[..., Run], tuple[Mapping[str, str]]]:
        return Run.from_headers, (self.headers(),)


class _Silent(Run):
    """Stands for a run where pipemon is disabled, so that code which asks for one goes on working."""

    id = token = ""

    def headers(self, *, sampled: bool = True) -> dict[str, str]:
        """Return nothing."""
        return {}

    def bound(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return the function."""
        return function


def _within(outer: Run, pipeline: str) -> Run:
    """Return a run begun in another one: of the same pipeline, as in a service that others call, it has its id."""
    run = Run(pipeline)
    if outer.pipeline in ("", pipeline):
        run.__dict__["_id"] = outer.id
        run.last_stage = outer.last_stage
        run.__dict__["_served"] = outer.__dict__.setdefault("_served", {})
    return run


async def _await_in(run: Run, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    with run:
        return await function(*args, **kwargs)


def _call_in(run: Run, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    token = _current.set(run)
    try:
        return function(*args, **kwargs)
    finally:
        _current.reset(token)


_current: ContextVar[Run | None] = ContextVar("pipemon_run", default=None)
_entered: ContextVar[tuple[Token[Run | None], ...]] = ContextVar("pipemon_entered", default=())

current = _current.get


def current_run() -> Run | None:
    """Return the run that this code is part of, None outside of any.

    With PIPEMON_DISABLED it is one that says nothing: its id is empty, and so are its headers.
    """
    found = current()
    return _Silent("") if found is None and disabled() else found


_BEFORE = """
pm_outer = pm_current()
pm_run = pm_Run(pm_pipeline) if pm_outer is None else pm_within(pm_outer, pm_pipeline)
pm_started(None)
pm_begun = pm_clock()
if pm_begun >= pm_next_look[0]:
    pm_look(pm_begun)
"""

_ENTER = "pm_token = pm_set(pm_run)\n"

_LEAVE = """
try:
    pm_reset(pm_token)
except pm_ValueError:
    pass  # a coroutine that is closed in another context than it began in
"""

_ENDED = "pm_extend((pm_begun, pm_ended))\n"
_IF_NULL = """
if not pm_result if pm_result.__class__ in pm_PLAIN else pm_is_null(pm_result):
    pm_gave_nothing(pm_begun, pm_ended, pm_run)
"""
_STREAM_ENDED = "pm_ended = pm_clock()\npm_extend((pm_begun, pm_begun + pm_busy))\n"
_FAILED = "pm_failed(pm_begun, pm_ended, pm_run, {error})\n"


def wrap_run(function: Callable[..., Any], *, pipeline: str, recorder: Recorder) -> Callable[..., Any]:
    """Return a function like `function`, each call of which is a run. Rows are (begun, ended).

    A generator's run is the current one only while the generator itself runs, not while its consumer does.
    """

    from pipemon.instrument.runlog import log_ended_run  # noqa: PLC0415  not without runs

    def failed(begun: float, ended: float, run: Run, error: BaseException) -> None:
        if of_exception(error) == ERROR:
            stage = failed_stage(error, pipeline, begun)
            recorder.note(FAILED_STAGE, stage or OTHER, begun=begun)
            log_ended_run(pipeline, run, ERROR, stage, type(error).__name__, ended - begun)

    def gave_nothing(begun: float, ended: float, run: Run) -> None:
        log_ended_run(pipeline, run, NULL, None, None, ended - begun)

    def look(begun: float) -> None:
        with suppress(Exception):  # nothing around it catches
            recorder.look(begun)

    parameters = parameters_of(function)
    call = f"pm_function({parameters.passed})"
    kind = kind_of(function)
    if kind in ("function", "async function"):
        texts = Texts(
            call=call if kind == "function" else f"await {call}",
            before=_BEFORE + _ENTER,
            returned=_LEAVE + _ENDED + _IF_NULL,
            raised=_LEAVE + _ENDED + _FAILED.format(error="pm_error"),
        )
    else:
        texts = Texts(
            call=call,
            before=_BEFORE,
            returned=_STREAM_ENDED,
            raised=_STREAM_ENDED + _FAILED.format(error="pm_error"),
            resuming=_ENTER,
            resting=_LEAVE,
        )
    names = {
        "pm_pipeline": pipeline,
        "pm_Run": Run,
        "pm_current": current,
        "pm_within": _within,
        "pm_set": _current.set,
        "pm_reset": _current.reset,
        "pm_PLAIN": frozenset(PLAIN),
        "pm_is_null": is_null,
        "pm_gave_nothing": gave_nothing,
        "pm_failed": failed,
        "pm_look": look,
    }
    return write_wrapper(function, parameters, recorder, texts, title=f"run of {pipeline}", names=names)
