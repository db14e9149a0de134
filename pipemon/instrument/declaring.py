"""What `@pipeline.stage(...)` was told, checked against the function it decorates."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipemon import units
from pipemon.catalogue import OTHER, TRACKS
from pipemon.errors import DeclarationError, nearest
from pipemon.instrument import bounds
from pipemon.instrument.features import Category, Feature
from pipemon.instrument.names import check_name, check_text
from pipemon.instrument.taking import Taken
from pipemon.instrument.wrapping import is_async, kind_of, unwrapped
from pipemon.topology import FeatureShape, ScoreShape

if TYPE_CHECKING:
    from pipemon.instrument.model import Model
    from pipemon.instrument.scores import Score

MOST_SLICES = 50
MOST_CANDIDATES = 20

Given = Feature | Callable[[Any], object]
"""A Feature, or a function in its place whose name becomes the feature's."""


def check_budget(what: str, budget: str | float | None) -> float | None:
    """Return a budget in seconds."""
    try:
        return None if budget is None else units.seconds(budget)
    except ValueError as error:
        raise DeclarationError(f"{what}: budget: {error}") from None


def agreed_budget(what: str, code: float | None, file: float | None) -> float | None:
    """Return the budget of the code or of the generated file. Raises DeclarationError if they differ."""
    if code is not None and file is not None and code != file:
        told = f"{units.duration(code)} in the code, {units.duration(file)} in the bounds file"
        raise DeclarationError(f"{what}: budget: {told}; run pipemon generate again, or leave it out of the code")
    return file if code is None else code


def check_track(what: str, track: str) -> str:
    """Return a track that the catalogue knows."""
    if track not in TRACKS:
        raise DeclarationError(f"{what}: track {track!r} is none of {', '.join(TRACKS)}{nearest(track, TRACKS)}")
    return track


def check_version(what: str, version: object) -> str:
    """Return a version that can be a label's value."""
    if not version:
        raise DeclarationError(f"{what}: version {version!r} is not a text")
    return check_text(f"{what}: version", version)


def check_signals(what: str, signals: Sequence[str]) -> tuple[str, ...]:
    """Return feedback signals, each once."""
    if isinstance(signals, str):
        signals = (signals,)
    for signal in signals:
        check_name(f"{what}: feedback", signal)
    return tuple(dict.fromkeys(signals))


def check_stage_name(name: object) -> str:
    """Return a stage's name."""
    if name == OTHER:
        raise DeclarationError(f"stage {OTHER!r}: this name stands for whatever is outside of any stage")
    return check_name("stage", name)


def name_of(function: object) -> str:
    """Return what a function, method, partial or callable object is called."""
    inner = unwrapped(function)
    return getattr(inner, "__name__", None) or type(inner).__name__


def owner_of(function: object) -> str:
    """Return where a function is defined; the same when its module is loaded again."""
    inner: Any = unwrapped(function)
    named = inner if hasattr(inner, "__qualname__") else type(inner)
    return f"{named.__module__}.{named.__qualname__}"


def check_function(what: str, function: object) -> None:
    """Refuse what can't be wrapped, with the way out."""
    if inspect.isclass(function) or not callable(function):
        raise DeclarationError(f"{what}: decorate a function or method, not {function!r}")


def check_null(what: str, null: object) -> None:
    """Refuse a null rule that can't tell."""
    if null is not None and (not callable(null) or is_async(null)):
        raise DeclarationError(f"{what}: null must be a function of the result and not async, not {null!r}")


def check_model(what: str, model: object) -> Model | None:
    """Return a model."""
    if model is None:
        return None
    from pipemon.instrument.model import Model  # noqa: PLC0415  most stages have none

    if isinstance(model, Model):
        return model
    raise DeclarationError(f"{what}: model must be a pipemon.Model(code=..., params=..., data=...), not {model!r}")


def check_scores(what: str, given: str | Score | Sequence[str | Score]) -> tuple[ScoreShape, ...]:
    """Return the scores that are told of a stage."""
    if not given:
        return ()
    from pipemon.instrument.scores import score_shapes  # noqa: PLC0415  most stages have none

    return score_shapes(what, given)


def check_candidates(what: str, given: str | Sequence[str]) -> tuple[str, ...]:
    """Return the versions that a stage's outputs are compared with, each once. At most 20: each has three series."""
    if not isinstance(given, str | Iterable):
        raise DeclarationError(f"{what}: candidates are versions, such as ['2.0'], not {given!r}")
    found = tuple(check_version(f"{what}: candidates", one) for one in ([given] if isinstance(given, str) else given))
    if len(found) > MOST_CANDIDATES:
        raise DeclarationError(f"{what}: {len(found)} candidates; at most {MOST_CANDIDATES}")
    return tuple(dict.fromkeys(found))


def check_queued_at(what: str, queued_at: object) -> tuple[str, Callable[[Any], object]] | None:
    """Return the parameter and the function that tell when an input was queued."""
    if queued_at is None:
        return None
    if isinstance(queued_at, Mapping) and len(queued_at) == 1:
        ((parameter, function),) = queued_at.items()
        if callable(function) and not is_async(function):
            return str(parameter), function
    raise DeclarationError(
        f"{what}: queued_at is one parameter and the function that tells its Unix time: "
        "{'job': lambda job: job.queued_at}"
    )


def check_workers(what: str, workers: object) -> int | None:
    """Return how many calls can run at once."""
    if workers is None or (isinstance(workers, int) and not isinstance(workers, bool) and workers > 0):
        return workers
    raise DeclarationError(f"{what}: workers is a number of calls that can run at once, not {workers!r}")


def check_slices(what: str, slices: Mapping[str, Sequence[str]] | None) -> tuple[str, ...]:
    """Return the declared slices as label values: `age=young`. At most 50: each is a series a signal and stage."""
    found = []
    if slices is not None and not isinstance(slices, Mapping):
        raise DeclarationError(f"{what}: slices are named, each with its values: {{'age': ['young', 'old']}}")
    for name, members in (slices or {}).items():
        check_name(f"{what}: slice", name)
        if isinstance(members, str) or not isinstance(members, Sequence) or not members:
            raise DeclarationError(f"{what}: slice {name!r}: list its values: {{{name!r}: ['young', 'old']}}")
        found += [f"{name}={check_text(f'{what}: slice {name!r}: value', member)}" for member in members]
    if len(found) > MOST_SLICES:
        raise DeclarationError(f"{what}: {len(found)} slices; at most {MOST_SLICES} are kept apart")
    return tuple(dict.fromkeys(found))


def batch_parameter(stage: str, function: Callable[..., Any], batch: bool | str) -> str | None:
    """Return the parameter that has a batch's items: the named one, or the first that is not self or cls.

    Raises DeclarationError if there is none, and for a generator, whose items are counted one by one.
    """
    if not batch:
        return None
    if kind_of(function).endswith("generator"):
        raise DeclarationError(f"stage {stage!r}: a generator's items are counted one by one; leave out batch")
    names = [name for name in _parameters(stage, "batch", function) if name not in ("self", "cls")]
    if batch is True:
        if not names:
            raise DeclarationError(f"stage {stage!r}: batch: {name_of(function)}() has no parameter")
        return names[0]
    if batch not in names:
        told = f"{name_of(function)}() has no parameter {batch!r}{nearest(batch, names)}"
        raise DeclarationError(f"stage {stage!r}: batch: {told}")
    return batch


def check_one_to_one(stage: str, function: Callable[..., Any] | None, one_to_one: bool) -> None:
    """Refuse one_to_one for a generator, of which one call makes any number of items."""
    if one_to_one and function is not None and kind_of(function).endswith("generator"):
        raise DeclarationError(f"stage {stage!r}: one call of a generator makes many items; leave out one_to_one")


def check_parameters(stage: str, function: Callable[..., Any], what: str, used: Iterable[str]) -> None:
    """Raise DeclarationError for a parameter that the function does not have."""
    used = list(used)
    if not used:
        return
    named = _parameters(stage, what, function)
    takes_any = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(function).parameters.values())
    for parameter in used:
        if parameter not in named and not (takes_any and str(parameter).isidentifier()):
            told = f"{name_of(function)}() has no parameter {parameter!r}{nearest(parameter, named)}"
            raise DeclarationError(f"stage {stage!r}: {what}: {told}")


def _parameters(stage: str, what: str, function: Callable[..., Any]) -> list[str]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        told = f"{name_of(function)}() doesn't tell its parameters; decorate a function around it"
        raise DeclarationError(f"stage {stage!r}: {what}: {told}") from None
    return [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def input_features(stage: str, inputs: Mapping[str, Given | Sequence[Given]] | None) -> tuple[Taken, ...]:
    """Return the features of the parameters, under the names that they are exported by."""
    if not inputs:
        return ()
    if not isinstance(inputs, Mapping):
        raise DeclarationError(f"stage {stage!r}: inputs are features by parameter: {{'audio': [level_dbfs()]}}")
    found = []
    for parameter, given in inputs.items():
        for feature in _features(stage, given):
            name = feature.name
            if feature.prefix and not name.startswith(f"{parameter}_"):
                name = f"{parameter}_{name}"
            found.append(Taken("input", name, feature, str(parameter)))
    _refuse_twins(stage, "input", [taken.name for taken in found])
    return tuple(found)


def output_features(stage: str, output: Given | Sequence[Given] | None) -> tuple[Taken, ...]:
    """Return the features of the result."""
    features = [] if output is None else _features(stage, output)
    _refuse_twins(stage, "output", [feature.name for feature in features])
    return tuple(Taken("output", feature.name, feature) for feature in features)


def shape_of(
    taken: Taken, learned: Mapping[str, tuple[float, ...]], more: Mapping[str, tuple[float, ...]]
) -> FeatureShape:
    """Return a feature as the generator sees it, with the bounds its histogram gets.

    `learned` are a baseline's bounds of the stage by `<direction>.<feature>`; `more` are for features that have
    theirs from the unit only.
    """
    feature = taken.feature
    if isinstance(feature, Category):
        return FeatureShape(taken.direction, taken.name, feature.name, categories=feature.categories)
    name = f"{taken.direction}.{taken.name}"
    chosen = feature.bounds or learned.get(name)
    if not chosen:
        chosen = sorted({*bounds.for_unit(feature.unit), *more.get(name, ())})
    own = feature.bounds is not None
    return FeatureShape(taken.direction, taken.name, feature.name, feature.unit, tuple(chosen), own_bounds=own)


def _features(stage: str, given: Given | Sequence[Given]) -> list[Feature]:
    return [_feature(stage, one) for one in (given if isinstance(given, list | tuple) else [given])]


def _feature(stage: str, given: Any) -> Feature:
    if isinstance(given, Feature):
        return given
    name = getattr(given, "__name__", "")
    if str(getattr(given, "__module__", "")).startswith("pipemon.instrument.extractors."):
        raise DeclarationError(f"stage {stage!r}: write {name}(...), not {name}")
    if not callable(given):
        raise DeclarationError(f"stage {stage!r}: {given!r} is neither a Feature nor a function")
    if not name.isidentifier():  # a lambda, a partial
        raise DeclarationError(f"stage {stage!r}: this function has no name; write Feature('a_name', ...)")
    return Feature(name, given, prefix=True)


def _refuse_twins(stage: str, direction: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise DeclarationError(
                f"stage {stage!r}: two {direction} features are called {name!r}; "
                "name one of them: Feature('a_name', ...)"
            )
