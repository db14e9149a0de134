"""Which stage of which pipeline an estimator is: what it takes along when it is cloned or pickled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

from prometheus_client import REGISTRY

from pipemon.instrument.exporter import exporter_for
from pipemon.instrument.model import Model
from pipemon.instrument.pipeline import Pipeline
from pipemon.instrument.stage import Stage
from pipemon.instrument.switch import disabled
from pipemon.integrations.sklearn.batches import input_features, output_features


class Home:
    """A pipeline that can be pickled: another process finds its own of that name, or makes it."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        _homes[pipeline.name] = pipeline

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Home) and other.pipeline is self.pipeline

    def __hash__(self) -> int:
        return id(self.pipeline)

    def __deepcopy__(self, memo: object) -> Home:
        return self

    def __reduce__(self) -> Any:
        return _home, (self.pipeline.name, self.pipeline.version, self.pipeline.budget, self.pipeline.track)


@dataclass(frozen=True)
class Place:
    """Where an estimator stands: `path` are the steps' names to it, as in its parameters; `after` the stages before it.

    `version` and `track` travel with the model; so do `budgets`, by stage.
    """

    home: Home
    path: str
    after: tuple[str, ...]
    version: str
    track: str
    model: Model | None = None
    budgets: Mapping[str, str | float] = field(default_factory=dict)

    def step(self, name: str, after: tuple[str, ...]) -> Place:
        """Return the place of a step within."""
        return replace(self, path=f"{self.path}__{name}" if self.path else name, after=after)

    def stage_name(self, estimator: Any) -> str:
        """Return what the estimator's stage is called: one that is no step has its class's name."""
        return self.path or type(estimator).__name__.lower()


_homes: WeakValueDictionary[str, Pipeline] = WeakValueDictionary()
_stages: WeakKeyDictionary[Pipeline, dict[object, tuple[Stage, bool]]] = WeakKeyDictionary()


def _home(name: str, version: str, budget: float | None, track: str) -> Home:
    found = _homes.get(name)
    if found is None and not disabled():
        found = next((each for each in list(exporter_for(REGISTRY)._pipelines) if each.name == name), None)
    return Home(found or Pipeline(name, version, budget=budget, track=track))


def stage_at(place: Place, estimator: Any) -> Stage:
    """Return the estimator's stage, declared at the first time; again once it is fitted and its classes are known.

    Raises DeclarationError for a step's name that can't be a stage's, or an unknown stage in `after`.
    """
    stages = _stages.setdefault(place.home.pipeline, {})
    name = place.stage_name(estimator)
    budget = place.budgets.get(name)
    key = name, place.after, place.version, place.track, place.model, budget
    stage, complete = stages.get(key, (None, False))
    if stage is None or not complete:
        outputs = output_features(estimator)
        if stage is None or outputs is not None:
            stage = place.home.pipeline.stage(
                name,
                after=place.after,
                inputs={"X": input_features()},
                output=outputs or None,
                budget=budget,
                version=place.version,
                model=place.model,
                track=place.track,
                batch="X",
                one_to_one=True,
            )
            stages[key] = stage, outputs is not None
    return stage


def with_known_upstream(place: Place) -> Place:
    """Return a place without the stages that this process does not know: of a step that was pickled alone."""
    known = {stage.name for stage in place.home.pipeline.describe().stages}
    return replace(place, after=tuple(name for name in place.after if name in known))
