"""Pipeline: declares stages and runs, and wraps their functions."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, overload

from prometheus_client import REGISTRY, CollectorRegistry

from pipemon import catalogue
from pipemon.errors import DeclarationError
from pipemon.instrument import bounds, declaring
from pipemon.instrument.attribution import Attribution, check_token_key
from pipemon.instrument.baseline import read_baselines
from pipemon.instrument.bounds_file import read_bounds_file
from pipemon.instrument.calls import StageKey
from pipemon.instrument.cascade import Cascade
from pipemon.instrument.declaring import Given
from pipemon.instrument.endings import Declared, Endings
from pipemon.instrument.exporter import exporter_for
from pipemon.instrument.feature_series import Watch
from pipemon.instrument.feedback import TakesFeedback
from pipemon.instrument.names import check_name
from pipemon.instrument.recorder import Recorder
from pipemon.instrument.resolving import Told, resolve
from pipemon.instrument.run import wrap_run
from pipemon.instrument.series import ItemSeries, RunSeries, StageSeries, columns_of, show_declared
from pipemon.instrument.stage import Options, Stage
from pipemon.instrument.stage_wrapper import wrap_stage
from pipemon.instrument.switch import disabled
from pipemon.topology import PipelineShape, StageShape

if TYPE_CHECKING:
    from pipemon.instrument.model import Model
    from pipemon.instrument.scores import Score

F = TypeVar("F", bound=Callable[..., Any])


class _Unset(Enum):
    UNSET = "upstream inferred from the run"


class Pipeline(TakesFeedback):
    """A named cascade of stages.

    `version` and `track` are those of stages that don't say their own. `budget` is the time that a run
    may take: `"500ms"`, or seconds. Series go to `registry`, by default prometheus_client's. `feedback`
    names signals beyond redo, accepted and corrected, `slices` the groups that feedback is kept apart by:
    `{"age": ["young", "old"]}`. With `token_key`, a secret (by default that in PIPEMON_TOKEN_KEY), the tokens of
    runs are signed, and no others are believed. `baseline` is the file that `pipemon baseline` wrote, whose bounds
    histograms take, or several: a stage takes those of its version, else of the first. `spec` is the file that
    `pipemon generate` wrote from the failure modes, with the budgets and thresholds that are to be bounds.

    Raises DeclarationError for a bad name, version, track, budget, signal, slice or key.
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
        slices: Mapping[str, Sequence[str]] | None = None,
        baseline: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
        spec: str | os.PathLike[str] | None = None,
        token_key: str | bytes | None = None,
    ) -> None:
        self.name = check_name("pipeline", name)
        what = f"pipeline {name!r}"
        self.version = declaring.check_version(what, version)
        self.track = declaring.check_track(what, track)
        limits = read_bounds_file(spec, self.name)
        self.budget = declaring.agreed_budget(what, declaring.check_budget(what, budget), limits.budget)
        self._duration_bounds = bounds.for_duration(self.budget, limits.durations)
        self._for_all = Told(
            self.name,
            self.version,
            self.track,
            declaring.check_signals(what, feedback),
            read_baselines(baseline, self.name),
            limits,
        )
        self._stages: dict[str, StageShape] = {}
        self._has_run = False
        self._reads_bounds = spec is not None
        self._keys: dict[str, StageKey] = {}
        self._cascade = Cascade()
        self._run_series: RunSeries | None = None
        self._unopened: dict[str, Options] = {}
        self._exporter = None if disabled() else exporter_for(REGISTRY if registry is None else registry)
        groups, key = declaring.check_slices(what, slices), check_token_key(what, token_key)
        told = None
        if self._exporter is not None:
            self._exporter.before_scrapes(self)
            told = Attribution(self.name, self._exporter.families, groups, key)
        super().__init__(groups, told)

    @overload
    def stage(self, name: F, /) -> F: ...

    @overload
    def stage(
        self,
        name: str | None = None,
        /,
        *,
        after: str | Sequence[str] | _Unset | None = ...,
        inputs: Mapping[str, Given | Sequence[Given]] | None = ...,
        output: Given | Sequence[Given] | None = ...,
        null: Callable[[Any], object] | None = ...,
        budget: str | float | None = ...,
        version: str | None = ...,
        model: Model | None = ...,
        track: str | None = ...,
        feedback: Sequence[str] = ...,
        batch: bool | str = ...,
        one_to_one: bool = ...,
        queued_at: Mapping[str, Callable[[Any], object]] | None = ...,
        workers: int | None = ...,
        scores: str | Score | Sequence[str | Score] = ...,
        candidates: str | Sequence[str] = ...,
        labels: bool = ...,
        decisions: bool = ...,
    ) -> Stage: ...

    def stage(
        self,
        name: Any = None,
        /,
        *,
        after: str | Sequence[str] | _Unset | None = _Unset.UNSET,
        inputs: Mapping[str, Given | Sequence[Given]] | None = None,
        output: Given | Sequence[Given] | None = None,
        null: Callable[[Any], object] | None = None,
        budget: str | float | None = None,
        version: str | None = None,
        model: Model | None = None,
        track: str | None = None,
        feedback: Sequence[str] = (),
        batch: bool | str = False,
        one_to_one: bool = False,
        queued_at: Mapping[str, Callable[[Any], object]] | None = None,
        workers: int | None = None,
        scores: str | Score | Sequence[str | Score] = (),
        candidates: str | Sequence[str] = (),
        labels: bool = False,
        decisions: bool = False,
    ) -> Any:
        """Make a function, method or generator, sync or async, a stage: `@pipeline.stage`, or with arguments.

        Args:
            name: the stage's; by default the function's.
            after: the stage or stages before it, declared earlier; None or () for a stage that begins the
                cascade. Not given: the stage that finished before it in the same run.
            inputs: features by parameter: `{"audio": [level_dbfs()]}`. They are looked at after the call: a
                function that changes its argument in place is seen with what it made of it.
            output: a feature of the result, or a list of them; of each item of a generator or batch.
            null: tells whether a result (or item) is unusable; by default NaN, an empty string, sequence, set
                or mapping, an array, data frame or tensor that is empty, an array that is all NaN. None
                always is.
            budget: the time that a call may take: `"50ms"`, or seconds. Always a bound of the histogram.
            version: of the stage's model; by default that of `model`, else the pipeline's.
            model: what the version is made of, and when it was trained.
            track: stable, canary or shadow; by default the pipeline's. A run that fails is never put down to
                a shadow, and no stage is downstream of one unless `after` says so.
            feedback: further feedback signals about this stage.
            batch: the function takes many items at once, in its first parameter or the one named here: items
                are counted, and features taken of each, by numpy where the extractor can.
            one_to_one: what goes in must come out, as usable, null, failed or dropped: an alert can tell if not.
            queued_at: a parameter and a function of it that returns when it was put in the queue, in Unix
                seconds: `{"job": lambda job: job.queued_at}`. Gives the time of waiting.
            workers: how many calls can run at once in a process; load is told against it.
            scores: how good its outputs are, told later by `score`: `["wer", Score("mos", unit="points")]`; a name
                alone is a ratio's.
            candidates: versions that its outputs are compared with, as in shadow, told by `compared`.
            labels: true values come later: `label_expected`, `calibration` and `rated` count.
            decisions: the model or a person decides on its outputs, told by `decided`.

        The function keeps its signature, type and behaviour; exceptions pass untouched. A generator's call
        lasts from its first item's asking to its end, without the time that its consumer takes. What is
        returned can also measure blocks of code: `Stage.call`.

        Raises DeclarationError at decoration for whatever is declared wrongly.
        """
        if name is not None and not isinstance(name, str):
            return self.stage()(name)
        told = not isinstance(after, _Unset)
        options = Options(
            None if isinstance(after, _Unset) else after, told, inputs, output, null, budget, version, model, track,
            feedback, batch, one_to_one, queued_at, workers, scores, candidates, labels, decisions,
        )  # fmt: skip
        return Stage(self, name, options)

    def declare(self, name: str, options: Options) -> None:
        """Take a stage whose function may still come: the base of `Stage`."""
        key, shape, _ = resolve(self._for_all, self._stages, self._keys, name, options, None)
        self._keep(key, shape)
        self._unopened[name] = options

    def wrap(self, name: str, options: Options, function: F) -> F:
        """Return a function's stand-in: the base of `Stage`."""
        declaring.check_function(f"stage {name!r}", function)
        key, shape, declared = resolve(self._for_all, self._stages, self._keys, name, options, function)
        batch = declaring.batch_parameter(name, function, options.batch)
        self._unopened.pop(name, None)
        if self._exporter is None:
            self._keep(key, shape)
            return function
        recorder = self._export(key, shape, declared, bool(batch), declaring.owner_of(function))
        self._keep(key, shape)
        wrapped: Any = wrap_stage(
            function,
            declared._replace(beside=self._is_beside(key)),
            recorder,
            items=self._items(key, recorder) if shape.stream and declared.outputs else None,
            batch=batch,
            see_upstream=self._see_upstream(shape),
        )
        return wrapped  # type: ignore[no-any-return]

    def open(self, name: str, options: Options, function: None = None) -> Endings | None:
        """Return where blocks of a stage record their calls: the base of `Stage`."""
        self._unopened.pop(name, None)
        if self._exporter is None:
            return None
        key, shape, declared = resolve(self._for_all, self._stages, self._keys, name, options, None)
        recorder = self._export(key, shape, declared, bool(options.batch), None)
        return Endings(declared._replace(beside=self._is_beside(key)), recorder, self._see_upstream(shape))

    def before_scrape(self) -> None:
        """Show stages that no function was decorated with: their blocks' series are there from the start."""
        for name, options in list(self._unopened.items()):
            self.open(name, options)

    def run(self, function: F, /) -> F:
        """Make a sync or async function the pipeline's run, from end to end: `@pipeline.run`.

        Counts runs, their time against the pipeline's budget, and which stage made them fail.
        """
        declaring.check_function(f"run of pipeline {self.name!r}", function)
        self._has_run = True
        if self._exporter is None:
            return function
        families = self._exporter.families
        recorder = self._exporter.recorder(
            (self.name, self.version),
            ("begun", "ended"),
            lambda: RunSeries(families, self.name, self.version, self._duration_bounds),
        )
        assert isinstance(recorder.series, RunSeries)
        self._run_series = recorder.series
        for stage in self._stages:
            self._run_series.add_stage(stage)
        if self.budget is not None:
            families[catalogue.PIPELINE_BUDGET.name].labels(self.name, self.version).set(self.budget)
        wrapped: Any = wrap_run(function, pipeline=self.name, recorder=recorder)
        return wrapped  # type: ignore[no-any-return]

    def watch(self, watches: Mapping[str, Mapping[str, Watch]]) -> bool:
        """Tell of features' values, by stage and `<direction>.<feature>`: the base of `pipemon.learning`.

        Of a stage that runs in several versions, only the one declared first. False where pipemon is disabled.
        """
        if self._exporter is None:
            return False
        self._exporter.flush_all()
        for stage, key in self._keys.items():
            self._exporter.watch(key, watches.get(stage, {}))
        return True

    def describe(self) -> PipelineShape:
        """Return the declared stages, features, budgets (seconds) and bounds: what the generator reads.

        `after` is None for a stage that leaves it to the runs.
        """
        stages = tuple(self._stages.values())
        bounds, slices = self._duration_bounds, self._slices
        reads = self._reads_bounds
        named = self._for_all.baselines.named
        return PipelineShape(self.name, self.budget, stages, bounds, self._has_run, reads, slices, self.version, named)

    def _see_upstream(self, shape: StageShape) -> Callable[[str], bool] | None:
        return partial(self._cascade.see, shape.name) if shape.after is None else None

    def _keep(self, key: StageKey, shape: StageShape) -> None:
        # The first version of a stage describes it; a canary beside it does not.
        if self._keys.setdefault(shape.name, key) == key:
            self._stages[shape.name] = shape
        if self._told is not None:
            self._told.add(key, shape)

    def _is_beside(self, key: StageKey) -> bool:
        return self._told is not None and not self._told.unsaid(key)

    def _export(self, key: StageKey, shape: StageShape, declared: Declared, batch: bool, owner: str | None) -> Recorder:
        exporter = self._exporter
        assert exporter is not None
        holder = None if owner is None else exporter.claim(key, owner, self)
        if holder is not None:
            raise DeclarationError(
                f"stage {shape.name!r} of pipeline {self.name!r} is declared twice: by {holder} and {owner}"
            )
        families = exporter.families
        columns = columns_of(shape, batch=batch)
        recorder = exporter.recorder(
            key,
            columns,
            lambda: StageSeries(families, key, columns, shape, declared.null is not None),
            shape.features,  # a batch's are no columns, and categories are counted by their places
        )
        recorder.name = f"stage {shape.name} of pipeline {self.name}"
        show_declared(families, key, shape, declared.model)
        if self._run_series is not None:
            self._run_series.add_stage(shape.name)
        if shape.after is not None:
            self._cascade.declare(shape.name, shape.after)
        return recorder

    def _items(self, key: StageKey, recorder: Recorder) -> Recorder:
        assert self._exporter is not None
        assert isinstance(recorder.series, StageSeries)
        series = ItemSeries([feature for feature in recorder.series.features if feature.direction == "output"])
        columns = ("at", *(feature.column for feature in recorder.series.features if feature.direction == "output"))
        return self._exporter.recorder((key, "items"), columns, lambda: series)
