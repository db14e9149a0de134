"""A stage's stand-in: each call becomes one row of numbers in the buffer."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pipemon.instrument.log import Quietly, log_once
from pipemon.instrument.outcome import ERROR, NULL, OK, PLAIN, is_null, of_exception
from pipemon.instrument.recorder import Recorder
from pipemon.instrument.run import blame, current
from pipemon.instrument.series import EXCEPTION, EXTRACTOR_ERROR, UPSTREAM, StageKey
from pipemon.instrument.wrapping import LEAVE, RECORD, parameters_of, write_wrapper

SHADOW = "shadow"
_LOG_EVERY = 60.0

_BEFORE = """
pm_run = pm_current()
if pm_run is not None:
    if pm_run.pipeline != pm_pipeline:
        pm_run = None
{infer_upstream}
pm_enter(None)
pm_begun = pm_clock()
"""

_INFER_UPSTREAM = """
    elif pm_run.last_stage not in pm_known_upstreams:
        pm_new_upstream(pm_run.last_stage)
"""

_LAST_STAGE = """
if pm_run is not None:
    pm_run.last_stage = pm_stage
"""

_RETURNED = """
if pm_result is None:
    pm_outcome = pm_NULL
{null_rule}
{features}
"""

_DEFAULT_NULL_RULE = """
elif pm_result.__class__ in pm_PLAIN:
    pm_outcome = pm_OK if pm_result else pm_NULL
else:
    pm_outcome = pm_NULL if pm_is_null(pm_result) else pm_OK
"""

_OWN_NULL_RULE = """
else:
    try:
        pm_outcome = pm_NULL if pm_null(pm_result) else pm_OK
    except pm_Exception:
        pm_outcome = pm_OK
        pm_extractor_failed("output", "null")
"""

_FEATURE = """
pm_value = {expression}
if pm_value is None:
    pm_value_{index} = {absent}
else:
    try:
        pm_value_{index} = pm_extract_{index}(pm_value)
        if pm_value_{index}.__class__ is not pm_float:
            pm_value_{index} = pm_number(pm_value_{index})
    except pm_Exception:
        pm_value_{index} = None
        pm_extractor_failed("{direction}", "{name}")
"""

_RAISED = "pm_raised(pm_begun, pm_ended, pm_error, ({inputs}))"


@dataclass(frozen=True)
class InputFeature:
    """A feature of a parameter."""

    name: str
    extractor: Callable[[Any], object]
    parameter: str


@dataclass(frozen=True)
class OutputFeature:
    """A feature of the result."""

    name: str
    extractor: Callable[[Any], object]


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
    key: StageKey,
    recorder: Recorder,
    inputs: tuple[InputFeature, ...],
    outputs: tuple[OutputFeature, ...],
    null: Callable[[Any], object] | None,
    see_upstream: Callable[[str], bool] | None,
) -> Callable[..., Any]:
    """Return a function like `function` whose calls are recorded.

    `see_upstream` is told each stage seen before this one in a run, once, and says whether that is an edge.
    Nothing of a run comes from a shadow stage: neither its failure nor what is upstream of a later stage.

    Rows are (begun, ended, outcome, a value for each input feature, then each output feature).
    """
    shadow = key.track == SHADOW
    rare = _Rare(key.pipeline, key.stage, shadow, recorder, inputs, outputs, see_upstream)
    parameters = parameters_of(function)
    reads = [parameters.read(feature.parameter) for feature in inputs]
    features = [(feature, read, "input", "pm_nan") for feature, read in zip(inputs, reads, strict=True)]
    features += [(feature, "pm_result", "output", "None") for feature in outputs]  # type: ignore[misc]
    texts = [
        _FEATURE.format(index=index, expression=read, absent=absent, direction=direction, name=feature.name)
        for index, (feature, read, direction, absent) in enumerate(features)
    ]
    values = "".join(f"pm_value_{index}, " for index in range(len(features)))
    rule = _DEFAULT_NULL_RULE if null is None else _OWN_NULL_RULE
    return write_wrapper(
        function,
        parameters,
        recorder,
        title=f"stage {' '.join(key.labels)}",
        before=_BEFORE.format(infer_upstream=_INFER_UPSTREAM.strip("\n") if see_upstream else ""),
        returned=LEAVE
        + ("" if shadow else _LAST_STAGE)
        + _RETURNED.format(null_rule=rule.strip(), features="".join(texts))
        + RECORD.format(row=f"pm_begun, pm_ended, pm_outcome, {values}"),
        raised=LEAVE + _RAISED.format(inputs="".join(f"{read}, " for read in reads)),
        names={
            **{f"pm_extract_{index}": feature.extractor for index, (feature, *_) in enumerate(features)},
            "pm_OK": OK,
            "pm_NULL": NULL,
            "pm_PLAIN": frozenset(PLAIN),
            "pm_nan": math.nan,
            "pm_pipeline": key.pipeline,
            "pm_stage": key.stage,
            "pm_current": current,
            "pm_known_upstreams": rare.known_upstreams,
            "pm_new_upstream": rare.new_upstream,
            "pm_is_null": is_null,
            "pm_null": null,
            "pm_number": number,
            "pm_extractor_failed": rare.extractor_failed,
            "pm_raised": rare.raised,
        },
    )


@dataclass(frozen=True)
class _Rare:
    """What happens seldom enough to cost a function call."""

    pipeline: str
    stage: str
    shadow: bool
    recorder: Recorder
    inputs: tuple[InputFeature, ...]
    outputs: tuple[OutputFeature, ...]
    see_upstream: Callable[[str], bool] | None
    known_upstreams: set[str | None] = field(default_factory=lambda: {None})
    quietly: Quietly = field(default_factory=lambda: Quietly(_LOG_EVERY))

    def new_upstream(self, upstream: str) -> None:
        # Here the user's function has not been called yet, so nothing else catches what goes wrong.
        try:
            self.known_upstreams.add(upstream)
            if self.see_upstream is not None and self.see_upstream(upstream):
                self.recorder.note(UPSTREAM, upstream)
        except Exception:  # noqa: BLE001
            log_once("upstream", "an edge of the cascade could not be recorded", exc=True)

    def extractor_failed(self, direction: str, feature: str) -> None:
        self.recorder.note(EXTRACTOR_ERROR, f"{direction}.{feature}")
        message = "stage %s: the extractor of %s %s raised"
        self.quietly.warn((direction, feature), message, self.stage, direction, feature, exc=True)

    def raised(self, begun: float, ended: float, error: BaseException, arguments: tuple[Any, ...]) -> None:
        outcome = of_exception(error)
        if not self.shadow:
            blame(error, self.pipeline, self.stage, begun, ended)
        values = [self._take(feature, value) for feature, value in zip(self.inputs, arguments, strict=True)]
        self.recorder.add(begun, ended, outcome, *values, *(None for _ in self.outputs))
        if outcome == ERROR:
            self.recorder.note(EXCEPTION, type(error).__name__)

    def _take(self, feature: InputFeature, value: Any) -> float | None:
        if value is None:
            return math.nan
        try:
            return number(feature.extractor(value))
        except Exception:  # noqa: BLE001
            self.extractor_failed("input", feature.name)
            return None
