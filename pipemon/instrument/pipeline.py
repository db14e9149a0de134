"""Pipeline: declares stages and runs, and wraps their functions."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import partial
from typing import Any, TypeVar, overload

from prometheus_client import REGISTRY, CollectorRegistry

from pipemon import catalogue
from pipemon.errors import DeclarationError, nearest
from pipemon.instrument import bounds, declaring
from pipemon.instrument.baseline import read_bounds
from pipemon.instrument.cascade import Cascade
from pipemon.instrument.declaring import Taken
from pipemon.instrument.exporter import exporter_for
from pipemon.instrument.feedback import Feedback
from pipemon.instrument.names import check_name
from pipemon.instrument.recorder import Recorder
from pipemon.instrument.run import wrap_run
from pipemon.instrument.series import RunSeries, StageKey, StageSeries
from pipemon.instrument.stage import wrap_stage
from pipemon.instrument.switch import disabled
from pipemon.topology import PipelineShape, StageShape

F = TypeVar("F", bound=Callable[..., Any])


class _Unset(Enum):
    UNSET = "upstream inferred from the run"


class Pipeline:
    """A named cascade of stages.

    `version` and `track` are those of stages that don't say their own. `budget` is the time that a run
    may take: `"500ms"`, or seconds. Series go to `registry`, by default prometheus_client's. `feedback`
    names signals beyond redo, accepted and corrected. `baseline` is a JSON file with features' bounds.

    Raises DeclarationError for a bad name, version, track, budget or signal.
    """

    def __init__(
        self,
        name: str,
        version: str = "0",
        *,
        budget: str | float | None = None,
        track: str = "stable",
        registry: CollectorRegistry | None = None,
        feedback: Sequence[str] = (),
        baseline: str | os.PathLike[str] | None = None,
    ) -> None:
        self.name = check_name("pipeline", name)
        what = f"pipeline {name!r}"
        self.version = declaring.check_version(what, version)
        self.track = declaring.check_track(what, track)
        self.budget = declaring.check_budget(what, budget)
        self._signals = declaring.check_signals(what, feedback)
        self._baseline = read_bounds(baseline)
        self._stages: dict[str, StageShape] = {}
        self._has_run = False
        self._keys: dict[str, StageKey] = {}
        self._feedback = Feedback()
        self._cascade = Cascade()
        self._run_series: RunSeries | None = None
        self._exporter = None if disabled() else exporter_for(REGISTRY if registry is None else registry)

    @overload
    def stage(self, name: F, /) -> F: ...

    @overload
    def stage(
        self,
        name: str | None = None,
        /,
        *,
        after: str | Sequence[str] | _Unset | None = ...,
        inputs: Mapping[str, Taken | Sequence[Taken]] | None = ...,
        output: Taken | Sequence[Taken] | None = ...,
        null: Callable[[Any], object] | None = ...,
        budget: str | float | None = ...,
        version: str | None = ...,
        track: str | None = ...,
        feedback: Sequence[str] = ...,
    ) -> Callable[[F], F]: ...

    def stage(
        self,
        name: Any = None,
        /,
        *,
        after: str | Sequence[str] | _Unset | None = _Unset.UNSET,
        inputs: Mapping[str, Taken | Sequence[Taken]] | None = None,
        output: Taken | Sequence[Taken] | None = None,
        null: Callable[[Any], object] | None = None,
        budget: str | float | None = None,
        version: str | None = None,
        track: str | None = None,
        feedback: Sequence[str] = (),
    ) -> Any:
        """Make a sync or async function or method a stage: `@pipeline.stage`, or with arguments.

        Args:
            name: the stage's; by default the function's.
            after: the stage or stages before it, declared earlier; None or () for a stage that begins the
                cascade. Not given: the stage that finished before it in the same run.
            inputs: features by parameter: `{"audio": [level_dbfs()]}`. They are looked at after the call: a
                function that changes its argument in place is seen with what it made of it.
            output: a feature of the result, or a list of them.
            null: tells whether a result is unusable; by default NaN, an empty string, sequence, set or
                mapping, an array, data frame or tensor that is empty, an array that is all NaN. None
                always is.
            budget: the time that a call may take: `"50ms"`, or seconds. Always a bound of the histogram.
            version: of the stage's model; by default the pipeline's.
            track: stable, canary or shadow; by default the pipeline's. A run that fails is never put down to
                a shadow, and no stage is downstream of one unless `after` says so.
            feedback: further feedback signals about this stage.

        The function keeps its signature, type and behaviour; exceptions pass untouched.

        Raises DeclarationError at decoration for whatever is declared wrongly.
        """
        if name is not None and not isinstance(name, str):
            return self.stage()(name)

        def decorate(function: F) -> F:
            stage = declaring.check_stage_name(declaring.name_of(function) if name is None else name)
            what = f"stage {stage!r}"
            declaring.check_function(what, function)
            declaring.check_null(what, null)
            key = StageKey(
                self.name,
                stage,
                self.version if version is None else declaring.check_version(what, version),
                self.track if track is None else declaring.check_track(what, track),
            )
            taken_in = declaring.input_features(stage, function, inputs)
            taken_out = declaring.output_features(stage, output)
            seconds = declaring.check_budget(what, budget)
            shape = StageShape(
                stage,
                self._check_after(stage, after),
                seconds,
                (
                    *(declaring.shape_of(stage, *taken, self._baseline) for taken in taken_in),
                    *(declaring.shape_of(stage, *taken, self._baseline) for taken in taken_out),
                ),
                bounds.for_duration(seconds),
                tuple(dict.fromkeys((*self._signals, *declaring.check_signals(what, feedback)))),
            )
            if self._exporter is None:
                self._keep(key, shape)
                return function
            recorder = self._export(key, shape, declaring.owner_of(function), null is not None)
            self._keep(key, shape)
            wrapped: Any = wrap_stage(
                function,
                key=key,
                recorder=recorder,
                inputs=tuple(taken for taken, _ in taken_in),
                outputs=tuple(taken for taken, _ in taken_out),
                null=null,
                see_upstream=partial(self._cascade.see, stage) if shape.after is None else None,
            )
            return wrapped  # type: ignore[no-any-return]

        return decorate

    def run(self, function: F, /) -> F:
        """Make a sync or async function the pipeline's run, from end to end: `@pipeline.run`.

        Counts runs, their time against the pipeline's budget, and which stage made them fail.
        """
        declaring.check_function(f"run of pipeline {self.name!r}", function)
        self._has_run = True
        if self._exporter is None:
            return function
        limits = bounds.for_duration(self.budget)
        families = self._exporter.families
        recorder = self._exporter.recorder(
            (self.name, self.version),
            ("begun", "ended"),
            lambda: RunSeries(families, self.name, self.version, limits),
        )
        assert isinstance(recorder.series, RunSeries)
        self._run_series = recorder.series
        for stage in self._stages:
            self._run_series.add_stage(stage)
        if self.budget is not None:
            families[catalogue.PIPELINE_BUDGET.name].labels(self.name, self.version).set(self.budget)
        wrapped: Any = wrap_run(function, pipeline=self.name, recorder=recorder)
        return wrapped  # type: ignore[no-any-return]

    def feedback(self, signal: str, stage: str) -> None:
        """Count what a user did with a stage's output: `pipeline.feedback("redo", stage="asr")`.

        A signal that was not declared counts as `other`; an unknown stage is not counted. Both are
        logged once, with the nearest valid name. Never raises.
        """
        if self._exporter is not None:
            self._feedback.count(signal, stage)

    def describe(self) -> PipelineShape:
        """Return the declared stages, features, budgets (seconds) and bounds: what the generator reads.

        `after` is None for a stage that leaves it to the runs.
        """
        limits = bounds.for_duration(self.budget)
        return PipelineShape(self.name, self.budget, tuple(self._stages.values()), limits, self._has_run)

    def _check_after(self, stage: str, after: str | Sequence[str] | _Unset | None) -> tuple[str, ...] | None:
        if isinstance(after, _Unset):
            return None
        names = () if after is None else (after,) if isinstance(after, str) else tuple(after)
        declared = [name for name in self._stages if name != stage]
        for name in names:
            if name not in declared:
                raise DeclarationError(
                    f"stage {stage!r}: after {name!r}: no such stage is declared before it{nearest(name, declared)}"
                )
        return tuple(dict.fromkeys(names))

    def _keep(self, key: StageKey, shape: StageShape) -> None:
        # The first version of a stage describes it; a canary beside it does not.
        if self._keys.setdefault(shape.name, key) == key:
            self._stages[shape.name] = shape

    def _export(self, key: StageKey, shape: StageShape, owner: str, has_null_rule: bool) -> Recorder:
        exporter = self._exporter
        assert exporter is not None
        holder = exporter.claim(key, owner, self)
        if holder is not None:
            raise DeclarationError(
                f"stage {shape.name!r} of pipeline {self.name!r} is declared twice: by {holder} and {owner}"
            )
        families = exporter.families
        columns = ("begun", "ended", "outcome", *(f"{f.direction}.{f.name}" for f in shape.features))
        recorder = exporter.recorder(
            key,
            columns,
            lambda: StageSeries(families, key, shape.features, shape.duration_bounds, has_null_rule),
        )
        for upstream in shape.after or ():
            families[catalogue.STAGE_UPSTREAM.name].labels(*key.labels, upstream).set(1)
        if shape.budget is not None:
            families[catalogue.STAGE_BUDGET.name].labels(*key.labels).set(shape.budget)
        if self._keys.setdefault(shape.name, key) == key:
            self._feedback.add_stage(families, key, shape.feedback)
        if self._run_series is not None:
            self._run_series.add_stage(shape.name)
        if shape.after is not None:
            self._cascade.declare(shape.name, shape.after)
        return recorder
