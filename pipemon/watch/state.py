"""A pipeline's state at a moment: its stages along the cascade, their numbers, and which of them is the broken one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from math import isnan, nan

from pipemon import catalogue as c
from pipemon.topology import StageShape
from pipemon.watch.reading import (
    FEATURE_BUCKET,
    PIPELINE_BUCKET,
    STAGE_BUCKET,
    Alert,
    Reading,
)

MOST_BAD = 0.05
"""The share of failures, or of null outputs, that is too much where nobody said another: that of the signals."""


@dataclass(frozen=True)
class Mean:
    """The mean of a feature."""

    feature: str
    value: float
    unit: str


@dataclass(frozen=True)
class Numbers:
    """What is known of a stage, or of a pipeline's runs, over the last seconds; NaN where nothing was seen.

    `per_second` is 0 where it is there and nobody calls, and NaN where it is gone. Times are in seconds. `p99` is
    infinite beyond the histogram's last bound. `in_progress` is NaN, and `budget` None, where none is exported.
    """

    per_second: float
    error_ratio: float
    null_ratio: float
    p50: float
    p99: float
    budget: float | None
    in_progress: float

    @property
    def errors_bad(self) -> bool:
        """Whether too many fail."""
        return self.error_ratio > MOST_BAD

    @property
    def nulls_bad(self) -> bool:
        """Whether too many give nothing usable."""
        return self.null_ratio > MOST_BAD

    @property
    def slow(self) -> bool:
        """Whether one in a hundred takes longer than the budget."""
        return self.budget is not None and self.p99 > self.budget


@dataclass(frozen=True)
class StageState:
    """A stage: `depth` is how many stages are before it on the longest way; of one that is `gone` nothing is new."""

    name: str
    after: tuple[str, ...]
    depth: int
    numbers: Numbers
    means: tuple[Mean, ...]
    alerts: tuple[Alert, ...]
    broken: bool
    gone: bool = False

    @property
    def well(self) -> bool:
        """Whether there is nothing about it to look at."""
        numbers = self.numbers
        bad = numbers.errors_bad or numbers.nulls_bad or numbers.slow
        return not (self.broken or self.gone or self.alerts or bad)


@dataclass(frozen=True)
class PipelineState:
    """A pipeline: its stages from the first to the last, and every alert, the earliest stage's first."""

    name: str
    runs: Numbers
    stages: tuple[StageState, ...]
    alerts: tuple[Alert, ...]


@dataclass(frozen=True)
class State:
    """What a frame shows. `judged_by` says whose word it is that something is wrong; `trouble` that nothing is new."""

    pipelines: tuple[PipelineState, ...]
    at: float
    seconds: float
    url: str
    judged_by: str
    trouble: str = ""


def pipelines_of(reading: Reading) -> tuple[str, ...]:
    """Return the names of the pipelines that a reading has something of."""
    names = (c.STAGE_CALLS.name, c.STAGE_IN_PROGRESS.name, c.PIPELINE_RUNS.name)
    found = {labels["pipeline"] for name in names for labels, _ in reading.series(name)}
    found |= {pipeline for pipeline, _ in reading.seen or ()} | {alert.pipeline for alert in reading.alerts or ()}
    return tuple(sorted(found))


def state(
    reading: Reading, name: str, alerts: Sequence[Alert] | None, declared: Sequence[StageShape] = ()
) -> PipelineState:
    """Return a pipeline's state. Without `alerts`, what is far off by itself tells the broken stage.

    `declared` are the stages of its failure modes' file: a stage that is not decorated exports neither what it comes
    after nor its budget.
    """
    stages = {labels["stage"] for labels, _ in reading.series(c.STAGE_CALLS.name, pipeline=name)}
    stages |= {labels["stage"] for labels, _ in reading.series(c.STAGE_IN_PROGRESS.name, pipeline=name)}
    stages |= {stage for pipeline, stage in reading.seen or () if pipeline == name}
    if reading.seen is not None:
        # A Prometheus has all of them; the page of one process need not.
        stages |= {stage.name for stage in declared}
    after: dict[str, set[str]] = {stage: set() for stage in stages}
    for shape in declared:
        if shape.name in stages:
            after[shape.name] |= stages.intersection(shape.after or ())
    for labels, _ in reading.series(c.STAGE_UPSTREAM.name, pipeline=name):
        if labels["stage"] in stages and labels["upstream"] in stages:
            after[labels["stage"]].add(labels["upstream"])
    depths = _depths(after)
    order = sorted(stages, key=lambda stage: (depths[stage], stage))
    own = [alert for alert in alerts or () if alert.pipeline == name]
    budgets = {stage.name: stage.budget for stage in declared}
    numbers = {stage: _of_stage(reading, name, stage, budgets.get(stage)) for stage in order}
    broken = _broken(order, numbers, own, alerts is not None)
    place = {stage: i for i, stage in enumerate(order)}
    found = tuple(
        StageState(
            name=stage,
            after=tuple(sorted(after[stage], key=place.__getitem__)),
            depth=depths[stage],
            numbers=numbers[stage],
            means=tuple(_means(reading, name, stage)),
            alerts=tuple(alert for alert in own if alert.stage == stage),
            broken=stage == broken,
            gone=reading.seconds > 0 and isnan(numbers[stage].per_second),
        )
        for stage in order
    )
    own.sort(key=lambda alert: (alert.state == "pending", place.get(alert.stage, len(place)), alert.failure_mode))
    return PipelineState(name, _of_runs(reading, name), found, tuple(own))


def _broken(order: Iterable[str], numbers: Mapping[str, Numbers], alerts: Sequence[Alert], judged: bool) -> str | None:
    """Return the first stage along the cascade that is in trouble: what comes after it is likely its effect."""
    firing = {alert.stage for alert in alerts if alert.state != "pending"}
    for stage in order:
        own = numbers[stage]
        if stage in firing if judged else own.errors_bad or own.nulls_bad or own.slow:
            return stage
    return None


def _depths(after: Mapping[str, set[str]]) -> dict[str, int]:
    found: dict[str, int] = {}
    try:
        order = tuple(TopologicalSorter(after).static_order())
    except CycleError:
        # Two processes may know it differently; a drawing is still due.
        return dict.fromkeys(after, 0)
    for stage in order:
        found[stage] = max((found[upstream] + 1 for upstream in after[stage]), default=0)
    return found


def _of_stage(reading: Reading, pipeline: str, stage: str, declared: float | None) -> Numbers:
    which = {"pipeline": pipeline, "stage": stage}
    budget = _most(reading, c.STAGE_BUDGET.name, which)
    calls = _known(reading, c.STAGE_CALLS.name, which)
    ran = calls - reading.total(c.STAGE_SKIPPED.name, **which)
    return Numbers(
        per_second=_ratio(calls, reading.seconds),
        error_ratio=_ratio(_known(reading, c.STAGE_FAILURES.name, which), ran),
        null_ratio=_ratio(_known(reading, c.STAGE_NULL_OUTPUTS.name, which), ran),
        p50=reading.quantile(STAGE_BUCKET, 0.5, **which),
        p99=reading.quantile(STAGE_BUCKET, 0.99, **which),
        budget=declared if budget is None else budget,
        in_progress=_known(reading, c.STAGE_IN_PROGRESS.name, which),
    )


def _of_runs(reading: Reading, pipeline: str) -> Numbers:
    runs = _known(reading, c.PIPELINE_RUNS.name, {"pipeline": pipeline})
    return Numbers(
        per_second=_ratio(runs, reading.seconds),
        error_ratio=_ratio(reading.total(c.PIPELINE_FAILURES.name, pipeline=pipeline), runs),
        null_ratio=nan,
        p50=reading.quantile(PIPELINE_BUCKET, 0.5, pipeline=pipeline),
        p99=reading.quantile(PIPELINE_BUCKET, 0.99, pipeline=pipeline),
        budget=_most(reading, c.PIPELINE_BUDGET.name, {"pipeline": pipeline}),
        in_progress=_known(reading, c.PIPELINE_IN_PROGRESS.name, {"pipeline": pipeline}),
    )


def _means(reading: Reading, pipeline: str, stage: str) -> Iterable[Mean]:
    which = {"pipeline": pipeline, "stage": stage}
    told = reading.series(c.FEATURE_INFO.name, **which)
    # Two versions may tell it with other bins.
    units = {(labels["direction"], labels["feature"]): labels["unit"] for labels, _ in told}
    for (direction, feature), unit in sorted(units.items()):
        mean = mean_of(reading, **which, direction=direction, feature=feature)
        both = {("input", feature), ("output", feature)} <= units.keys()
        if not isnan(mean):
            yield Mean(f"{direction} {feature}" if both else feature, mean, unit)


def mean_of(reading: Reading, **which: str) -> float:
    """Return the mean of a feature, NaN where none was seen."""
    total = reading.total(c.FEATURE_SUM.name, sign="positive", **which)
    total -= reading.total(c.FEATURE_SUM.name, sign="negative", **which)
    return _ratio(total, reading.total(FEATURE_BUCKET, **which))


def _known(reading: Reading, name: str, which: Mapping[str, str]) -> float:
    """Return the sum of the series of a name, NaN where there are none: who exports none may have any."""
    found = reading.series(name, **which)
    return sum(value for _, value in found) if found else nan


def _most(reading: Reading, name: str, which: Mapping[str, str]) -> float | None:
    return max((value for _, value in reading.series(name, **which)), default=None)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else nan
