"""From what a stage was told to what it is: every name checked, every default filled in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from pipemon.errors import DeclarationError, nearest
from pipemon.instrument import bounds, declaring
from pipemon.instrument.baseline import Baselines
from pipemon.instrument.bounds_file import BoundsFile
from pipemon.instrument.calls import StageKey
from pipemon.instrument.endings import Declared
from pipemon.instrument.stage import Options
from pipemon.instrument.wrapping import kind_of
from pipemon.topology import StageShape


class Told(NamedTuple):
    """What a pipeline says for all of its stages."""

    pipeline: str
    version: str
    track: str
    signals: tuple[str, ...]
    baselines: Baselines
    spec: BoundsFile


def resolve(
    told: Told,
    stages: Mapping[str, StageShape],
    keys: Mapping[str, StageKey],
    name: str,
    options: Options,
    function: Callable[..., Any] | None,
) -> tuple[StageKey, StageShape, Declared]:
    """Return a stage's labels, its shape, and what its calls need.

    `stages` and `keys` are those declared so far: of each the version that came first. A later one has that one's
    budget where it says none, and its bounds of durations in any case, since rules add the versions' buckets up.

    Without a function, as for blocks, nothing is checked against one. Raises DeclarationError.
    """
    stage = declaring.check_stage_name(name)
    what = f"stage {stage!r}"
    declaring.check_null(what, options.null)
    model = declaring.check_model(what, options.model)
    version = options.version if options.version is not None else model.version if model else told.version
    track = told.track if options.track is None else declaring.check_track(what, options.track)
    key = StageKey(told.pipeline, stage, declaring.check_version(what, version), track)
    declaring.check_one_to_one(stage, function, options.one_to_one)
    queued_at = declaring.check_queued_at(what, options.queued_at)
    inputs = declaring.input_features(stage, options.inputs)
    outputs = declaring.output_features(stage, options.output)
    if function is not None:
        declaring.check_parameters(stage, function, "inputs", options.inputs or ())
        declaring.check_parameters(stage, function, "queued_at", (queued_at[0],) if queued_at else ())
    spec = told.spec.stage(stage)
    learned = told.baselines.bounds(stage, key.version)
    budget = declaring.agreed_budget(what, declaring.check_budget(what, options.budget), spec.budget)
    first = stages.get(stage) if keys.get(stage, key) != key else None
    if budget is None and first is not None:
        budget = first.budget
    shape = StageShape(
        stage,
        _after(stage, options.after, stages) if options.after_is_told else None,
        budget,
        tuple(declaring.shape_of(taken, learned, spec.features) for taken in (*inputs, *outputs)),
        bounds.for_duration(budget, (*spec.durations, *(first.duration_bounds if first else ()))),
        tuple(dict.fromkeys((*told.signals, *declaring.check_signals(what, options.feedback)))),
        one_to_one=options.one_to_one,
        workers=declaring.check_workers(what, options.workers),
        stream=function is not None and kind_of(function).endswith("generator"),
        queued=queued_at is not None,
        trained=model is not None and model.trained_timestamp is not None,
        version=key.version,
        scores=declaring.check_scores(what, options.scores),
        candidates=declaring.check_candidates(what, options.candidates),
        labels=bool(options.labels),
        decisions=bool(options.decisions),
    )
    return key, shape, Declared(key, inputs, outputs, options.null, queued_at, budget, model)


def _after(stage: str, after: str | Sequence[str] | None, stages: Iterable[str]) -> tuple[str, ...]:
    if not isinstance(after, str | Iterable | None):
        raise DeclarationError(f"stage {stage!r}: after has the names of stages, such as 'vad', not {after!r}")
    names = () if after is None else (after,) if isinstance(after, str) else tuple(after)
    declared = [name for name in stages if name != stage]
    for name in names:
        if name not in declared:
            raise DeclarationError(
                f"stage {stage!r}: after {name!r}: no such stage is declared before it{nearest(name, declared)}"
            )
    return tuple(dict.fromkeys(names))
