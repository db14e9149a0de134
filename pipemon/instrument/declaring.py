"""What `@pipeline.stage(...)` was told, checked against the function it decorates."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipemon import units
from pipemon.catalogue import OTHER, TRACKS
from pipemon.errors import DeclarationError, nearest
from pipemon.instrument import bounds
from pipemon.instrument.features import Feature
from pipemon.instrument.names import check_name, check_text
from pipemon.instrument.stage import InputFeature, OutputFeature
from pipemon.instrument.wrapping import is_async, unwrapped
from pipemon.topology import FeatureShape

Taken = Feature | Callable[[Any], object]
"""A Feature, or a function in its place whose name becomes the feature's."""


def check_budget(what: str, budget: str | float | None) -> float | None:
    """Return a budget in seconds."""
    try:
        return None if budget is None else units.seconds(budget)
    except ValueError as error:
        raise DeclarationError(f"{what}: budget: {error}") from None


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
    if isinstance(function, staticmethod | classmethod):
        kind = type(function).__name__
        raise DeclarationError(f"{what}: write @{kind} above the pipeline's decorator, not below it")
    if inspect.isclass(function) or not callable(function):
        raise DeclarationError(f"{what}: decorate a function or method, not {function!r}")
    inner = unwrapped(function)
    if inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner):
        raise DeclarationError(f"{what}: generators are not supported yet; decorate a function that returns its items")


def check_null(what: str, null: object) -> None:
    """Refuse a null rule that can't tell."""
    if null is not None and (not callable(null) or is_async(null)):
        raise DeclarationError(f"{what}: null must be a function of the result and not async, not {null!r}")


def input_features(
    stage: str, function: Callable[..., Any], inputs: Mapping[str, Taken | Sequence[Taken]] | None
) -> list[tuple[InputFeature, Feature]]:
    """Find each named parameter's place in a call, once.

    Raises DeclarationError for a parameter that the function does not have.
    """
    if not inputs:
        return []
    if not isinstance(inputs, Mapping):
        raise DeclarationError(f"stage {stage!r}: inputs are features by parameter: {{'audio': [level_dbfs()]}}")
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        told = f"{name_of(function)}() doesn't tell its parameters; decorate a function around it"
        raise DeclarationError(f"stage {stage!r}: inputs: {told}") from None
    named = {p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    found = []
    for parameter, given in inputs.items():
        if parameter not in named and not (takes_any and str(parameter).isidentifier()):
            raise DeclarationError(
                f"stage {stage!r}: inputs: {name_of(function)}() has no parameter {parameter!r}"
                + nearest(parameter, named)
            )
        for feature in _features(stage, given):
            name = feature.name
            if feature.prefix and not name.startswith(f"{parameter}_"):
                name = f"{parameter}_{name}"
            found.append((InputFeature(name, feature.extractor, parameter), feature))
    _refuse_twins(stage, "input", [feature.name for feature, _ in found])
    return found


def output_features(stage: str, output: Taken | Sequence[Taken] | None) -> list[tuple[OutputFeature, Feature]]:
    """Return the features of the result."""
    features = [] if output is None else _features(stage, output)
    _refuse_twins(stage, "output", [feature.name for feature in features])
    return [(OutputFeature(feature.name, feature.extractor), feature) for feature in features]


def shape_of(
    stage: str,
    taken: InputFeature | OutputFeature,
    feature: Feature,
    baseline: Mapping[str, tuple[float, ...]],
) -> FeatureShape:
    """Return a feature as the generator sees it, with the bounds its histogram gets."""
    direction = "input" if isinstance(taken, InputFeature) else "output"
    chosen = feature.bounds or baseline.get(f"{stage}.{direction}.{taken.name}") or bounds.for_unit(feature.unit)
    return FeatureShape(direction, taken.name, feature.name, feature.unit, tuple(chosen))  # type: ignore[arg-type]


def _features(stage: str, given: Taken | Sequence[Taken]) -> list[Feature]:
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
