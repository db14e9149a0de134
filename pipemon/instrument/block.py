"""`with stage.call():` for code that can't be decorated: part of a function, a C++ engine's callback, a loop's body."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from contextlib import suppress
from contextvars import Token
from time import perf_counter
from types import FrameType, TracebackType
from typing import Any

from pipemon.errors import nearest
from pipemon.instrument.batches import count
from pipemon.instrument.calls import Block, block, decline, leave_out
from pipemon.instrument.endings import Endings
from pipemon.instrument.log import log_once
from pipemon.instrument.run import current
from pipemon.instrument.sampling import Look, looker
from pipemon.instrument.taking import UNTAKEN, take

_UNTOLD = object()


class Call:
    """One call of a stage: what is between `with stage.call() as call:` and the block's end, sync or async.

    The stage's input features are taken from the values given by name to `stage.call(audio=...)`, its output
    features and null rule from what `output` is given. A block that tells no output is an ok call.
    Nothing here raises; what the block raises passes untouched.
    """

    def __init__(self, endings: Endings | None, values: Mapping[str, Any], batch: str | None = None) -> None:
        self._endings = endings
        self._values = values
        self._batch = batch
        self._result: Any = _UNTOLD
        self._came = 0
        self._look: Look | None = None
        self._state: Block | None = None
        self._token: Token[Block | None] | None = None

    def output(self, result: Any) -> None:
        """Tell what came out; the last one counts."""
        self._result = result

    def skip(self, reason: str) -> None:
        """Say that this call declines its input: `pipemon.skip`."""
        if self._state is not None:
            decline(self._state.remarks, reason)

    def drop(self, reason: str, items: int = 1) -> None:
        """Say that this call leaves out items on purpose: `pipemon.drop`."""
        if self._state is not None:
            leave_out(self._state.remarks, reason, items)

    def __enter__(self) -> Call:
        self._enter(sys._getframe(1))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._endings is None or self._state is None:
            return
        ended = perf_counter()
        try:
            if self._look is not None:
                self._look.rest()
            self._end(self._endings, self._state, ended, error)
        except Exception:  # noqa: BLE001
            self._endings.recorder.lose()
        finally:
            # Whoever keeps the call keeps nothing else alive.
            self._state.end()
            self._values, self._result, self._state, self._look = {}, _UNTOLD, None, None

    async def __aenter__(self) -> Call:
        self._enter(sys._getframe(1))
        if self._look is not None:
            self._look.seconds = math.nan  # other tasks run meanwhile
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def _enter(self, frame: FrameType) -> None:
        if self._endings is not None:
            try:
                self._begin(self._endings, frame)
            except Exception:  # noqa: BLE001
                self._endings.recorder.lose()

    def _begin(self, endings: Endings, frame: FrameType) -> None:
        declared, recorder = endings.declared, endings.recorder
        run = current()
        run = None if run is None else run.of(declared.key.pipeline)
        if run is not None and endings.see_upstream is not None and run.last_stage not in endings.known_upstreams:
            endings.new_upstream(str(run.last_stage))
        recorder.started.append(None)
        if self._batch is not None:
            self._came = count(self._values.get(self._batch))
        begun = perf_counter()
        self._state = Block(declared.key, begun, frame, block.get())
        if begun >= recorder.next_look[0]:
            self._look = looker(recorder)(begun)
        self._token = block.set(self._state)

    def _end(self, endings: Endings, state: Block, ended: float, error: BaseException | None) -> None:
        declared, begun = endings.declared, state.begun
        if self._token is not None:
            with suppress(ValueError):  # left in another context than it was entered in
                block.reset(self._token)
        run = current()
        run = None if run is None else run.of(declared.key.pipeline)
        if run is not None and error is None and not declared.shadow:
            run.last_stage = declared.key.stage
            if declared.beside:
                run.serve(declared.key)
        queued = [] if declared.queued_at is None else [self._value(declared.queued_at[0])]
        values = queued + [self._value(taken.parameter) for taken in declared.inputs]
        told = self._result is not _UNTOLD
        if self._batch is not None:
            result = self._result if told else None
            endings.batch(begun, ended, self._came, result, error, self._look, state.remarks, values, told=told)
            return
        skipped = error is None and endings.heard(state.remarks, begun)
        if error is not None:
            endings.raised(begun, ended, error, self._look, values)
        elif skipped:
            endings.skipped(begun, values)
        else:
            null = told and endings.null_rule(self._result)
            outputs = [
                take(each, self._result, endings.extractor_failed) if told else UNTAKEN for each in declared.outputs
            ]
            row = [*endings.inputs(begun, values), *outputs]
            endings.recorder.add(-begun if null else begun, ended, *row)
            endings.lasted(self._look, ended - begun, ended)

    def _value(self, parameter: str) -> Any:
        if parameter in self._values:
            return self._values[parameter]
        key = self._endings.declared.key if self._endings is not None else None
        message = "stage %s: call() was not given %r%s"
        log_once((key, parameter), message, key and key.stage, parameter, nearest(parameter, self._values))
        return None
