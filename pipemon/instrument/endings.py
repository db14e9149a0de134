"""How calls end other than by plainly returning: failures, streams, batches, blocks.

They are rarer, or larger, so that one more function call does not show in what they cost.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from time import perf_counter, time
from typing import TYPE_CHECKING, Any, NamedTuple

from pipemon.instrument.batches import count_null, count_results
from pipemon.instrument.blame import blame
from pipemon.instrument.calls import Remarks, StageKey, remarks
from pipemon.instrument.log import log_once
from pipemon.instrument.outcome import ERROR, is_null, of_exception
from pipemon.instrument.recorder import Recorder
from pipemon.instrument.sampling import Look, sampled, spotted
from pipemon.instrument.series import DROP, EXCEPTION, EXTRACTOR_ERROR, UPSTREAM
from pipemon.instrument.taking import UNTAKEN, Taken, take, take_many

if TYPE_CHECKING:
    from pipemon.instrument.model import Model

SHADOW = "shadow"
_MOST_UPSTREAMS = 20

SKIPPED_AT = 0.0
"""The end of a call that was skipped, in its row."""


class Declared(NamedTuple):
    """What a stage was told at its declaration, as far as its calls need it."""

    key: StageKey
    inputs: tuple[Taken, ...]
    outputs: tuple[Taken, ...]
    null: Callable[[Any], object] | None = None
    queued_at: tuple[str, Callable[[Any], object]] | None = None
    budget: float | None = None
    model: Model | None = None
    beside: bool = False
    """Whether another version of the stage was declared before."""

    @property
    def shadow(self) -> bool:
        """Tell whether the pipeline's own runs take no notice of it."""
        return self.key.track == SHADOW


class Endings:
    """Records the calls of one stage that end in another way than by returning one item."""

    def __init__(
        self, declared: Declared, recorder: Recorder, see_upstream: Callable[[str], bool] | None = None
    ) -> None:
        self.declared = declared
        self.recorder = recorder
        self.see_upstream = see_upstream
        self.known_upstreams: set[str | None] = {None}

    def new_upstream(self, upstream: str) -> None:
        """See a stage before this one for the first time; never raises."""
        # Here the user's function has not been called yet, so nothing else catches what goes wrong.
        try:
            if len(self.known_upstreams) > _MOST_UPSTREAMS:  # names come from other services' headers, too
                log_once(("upstreams", self.declared.key), "stage %s has too many upstreams", self.declared.key.stage)
                return
            self.known_upstreams.add(upstream)
            if self.see_upstream is not None and self.see_upstream(upstream):
                self.recorder.note(UPSTREAM, upstream)
        except Exception:  # noqa: BLE001
            log_once("upstream", "an edge of the cascade could not be recorded", exc=True)

    def extractor_failed(self, direction: str, feature: str) -> None:
        """Count an extractor that raised, and log it at most once a minute."""
        self.recorder.note(EXTRACTOR_ERROR, f"{direction}.{feature}")
        message, stage = "stage %s: the extractor of %s %s raised", self.declared.key.stage
        self.recorder.quietly.warn((direction, feature), message, stage, direction, feature, where=True)

    def declined(self, begun: float) -> bool:
        """Take out what the calling stand-in's call said; tell whether it was skipped."""
        return self.heard(remarks.pop(sys._getframe(1), None), begun)

    def heard(self, said: Remarks | None, begun: float, items: int = 1) -> bool:
        """Count what a call with `items` said; tell whether it was skipped."""
        if said is None:
            return False
        for reason, dropped in said.drops.items():
            self.recorder.note(DROP, reason, dropped, begun=begun)
            items -= dropped
        if said.skipped is not None:
            self.recorder.note(DROP, said.skipped, max(0, items), begun=begun)
        return said.skipped is not None

    def waited(self, begun: float, value: Any) -> float:
        """Return the seconds between the time that `value` was queued at and `begun`; NaN if it does not tell."""
        assert self.declared.queued_at is not None
        try:
            queued = self.declared.queued_at[1](value)
            if queued is None:
                return math.nan
            # A clock that is set, or another machine's that is ahead, must not make a wait negative.
            return max(0.0, time() - (perf_counter() - abs(begun)) - float(queued))  # type: ignore[arg-type]
        except Exception:  # noqa: BLE001
            self.extractor_failed("input", "queued_at")
            return math.nan

    def null_rule(self, result: Any) -> bool:
        """Tell whether a result or item is unusable by the stage's own rule; one that raises is counted."""
        null = self.declared.null
        if result is None or null is None:
            return is_null(result)
        try:
            return bool(null(result))
        except Exception:  # noqa: BLE001
            self.extractor_failed("output", "null")
            return False

    def raised(
        self, begun: float, ended: float, error: BaseException, look: Look | None, values: Sequence[Any]
    ) -> None:
        """Record a call that raised. `values`: what was queued, if that is told, then of each input feature."""
        remarks.pop(sys._getframe(1), None)  # whatever it declined before, its items failed
        outcome = self._blame(error, begun, ended, look)
        self.recorder.add(
            begun if outcome == ERROR else -begun, -ended, *self.inputs(begun, values), *self._no_outputs()
        )
        remarks.pop(sys._getframe(1), None)  # an extractor's

    def skipped(self, begun: float, values: Sequence[Any]) -> None:
        """Record a call that declined its input."""
        self.recorder.add(begun, SKIPPED_AT, *self.inputs(begun, values), *self._no_outputs())
        remarks.pop(sys._getframe(1), None)  # an extractor's

    def stream(
        self,
        begun: float,
        busy: float,
        first: float,
        out: int,
        null: int,
        error: BaseException | None,
        look: Look | None,
        values: Sequence[Any],
    ) -> None:
        """Record a stream that ended: exhausted, closed early (`error` is GeneratorExit) or with an exception."""
        ended = perf_counter()
        said = remarks.pop(sys._getframe(1), None)
        if said is not None and not (error is None or isinstance(error, GeneratorExit)):
            said.skipped = None
        if self.heard(said, begun):
            signs = begun, SKIPPED_AT
        elif error is None or (isinstance(error, GeneratorExit) and out + null):
            # Whoever stops reading has what it wanted.
            signs = (begun if out else -begun), ended
            self.lasted(look, busy, ended)
        else:
            outcome = self._blame(error, begun, ended, look, busy)
            signs = (begun if outcome == ERROR else -begun), -ended
        self.recorder.add(*signs, busy, first, out, null, *self.inputs(begun, values))
        remarks.pop(sys._getframe(1), None)  # an extractor's

    def batch(
        self,
        begun: float,
        ended: float,
        came: int,
        result: Any,
        error: BaseException | None,
        look: Look | None,
        said: Remarks | None,
        values: Sequence[Any],
        told: bool = True,
    ) -> None:
        """Record a call for a batch of which `came` items came in; `values` has the parameter of each input feature.

        Unless its result is `told`, as many usable items came out as came in.
        """
        out = null = 0
        queued, values = self._split(values)
        for column, (taken, value) in enumerate(zip(self.declared.inputs, values, strict=True)):
            self._add_array(column, take_many(taken, value, self.extractor_failed), begun)
        if error is None and self.heard(said, begun, came):
            signs = begun, SKIPPED_AT
        elif error is not None:
            outcome = self._blame(error, begun, ended, look)
            signs = (begun if outcome == ERROR else -begun), -ended
        else:
            null = count_null(result, self.declared.null and self.null_rule) if told else 0
            out = max(0, (count_results(result, came) if told else came) - null)
            signs = (begun if out else -begun), ended
            for column, taken in enumerate(self.declared.outputs if told else (), start=len(self.declared.inputs)):
                self._add_array(column, take_many(taken, result, self.extractor_failed), begun)
            self.lasted(look, ended - begun, ended)
        wait = () if self.declared.queued_at is None else (self.waited(begun, queued),)
        self.recorder.add(*signs, came, out, null, *wait)
        remarks.pop(sys._getframe(1), None)  # an extractor's

    def lasted(self, look: Look | None, seconds: float, ended: float) -> None:
        """Keep a call that was sampled, or took longer than its budget."""
        if look is not None:
            sampled(self.recorder, look, seconds, ended)
        elif self.declared.budget is not None and seconds > self.declared.budget:
            spotted(self.recorder, seconds)

    def _add_array(self, column: int, values: Any, begun: float) -> None:
        if values is not None and len(values):
            self.recorder.add_array(column, values, begun=begun)

    def _blame(
        self, error: BaseException, begun: float, ended: float, look: Look | None, seconds: float | None = None
    ) -> str:
        outcome = of_exception(error)
        if not self.declared.shadow:
            blame(error, self.declared.key.pipeline, self.declared.key.stage, begun, ended)
        if outcome == ERROR:
            self.recorder.note(EXCEPTION, type(error).__name__, begun=begun)
        took = ended - begun if seconds is None else seconds
        if look is not None:
            sampled(self.recorder, look, took, ended)
        elif outcome == ERROR:
            spotted(self.recorder, took)
        return outcome

    def _split(self, values: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
        return (None, values) if self.declared.queued_at is None else (values[0], values[1:])

    def inputs(self, begun: float, values: Sequence[Any]) -> list[float]:
        """Return the part of a row that is known of every call: the wait, if it is told, and the input features."""
        queued, values = self._split(values)
        wait = [] if self.declared.queued_at is None else [self.waited(begun, queued)]
        taken = zip(self.declared.inputs, values, strict=True)
        return wait + [take(each, value, self.extractor_failed) for each, value in taken]

    def _no_outputs(self) -> list[float]:
        return [UNTAKEN] * len(self.declared.outputs)
