"""Estimators made of steps: how the steps are called, and which come after which."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer

from pipemon.integrations.sklearn.places import Place

COMPOSITES = (Pipeline, FeatureUnion, ColumnTransformer, BaseSearchCV)
"""Of these the steps are stages; any other estimator is one stage, whatever it is made of."""

Ends = tuple[str, ...]
"""The stages whose output an estimator's output is made of."""

Visit = Callable[[Any, Place], tuple[Any, Ends]]
"""What is done with a step: returns what takes its place, and its ends."""


def visited(composite: Any, place: Place, visit: Visit) -> tuple[dict[str, Any], Ends]:
    """Visit the steps in their order; return the composite's attributes that have them, and its ends."""
    if isinstance(composite, Pipeline):
        return _in_series(composite, place, visit)
    if isinstance(composite, FeatureUnion):
        found, ends = _side_by_side(composite.transformer_list, place, visit)
        return {"transformer_list": found}, ends
    if isinstance(composite, ColumnTransformer):
        return _by_columns(composite, place, visit)
    return _one_inside(composite, place, visit)


def _one_inside(composite: Any, place: Place, visit: Visit) -> tuple[dict[str, Any], Ends]:
    found = {}
    ends: Ends = ()
    for name in ("estimator", "best_estimator_"):
        if name in vars(composite):
            found[name], ends = visit(getattr(composite, name), place)
    return found, ends


def _in_series(composite: Any, place: Place, visit: Visit) -> tuple[dict[str, Any], Ends]:
    steps = []
    after = place.after
    for name, step in composite.steps:
        found, after = _step(step, place.step(name, after), visit)
        steps.append((name, found))
    return {"steps": steps}, after


def _side_by_side(steps: Iterable[Any], place: Place, visit: Visit) -> tuple[list[Any], Ends]:
    found = []
    ends: list[str] = []
    for name, step, *columns in steps:
        new, own = _step(step, place.step(name, place.after), visit)
        found.append((name, new, *columns))
        ends += own
    return found, tuple(dict.fromkeys(ends))


def _by_columns(composite: Any, place: Place, visit: Visit) -> tuple[dict[str, Any], Ends]:
    transformers, ends = _side_by_side(composite.transformers, place, visit)
    remainder, own = _step(composite.remainder, place.step("remainder", place.after), visit)
    found = {"transformers": transformers, "remainder": remainder}
    if "transformers_" in vars(composite):
        found["transformers_"], _ = _side_by_side(composite.transformers_, place, visit)
    return found, tuple(dict.fromkeys((*ends, *own)))


def _step(step: Any, place: Place, visit: Visit) -> tuple[Any, Ends]:
    if step is None or isinstance(step, str):
        return step, () if step == "drop" else place.after
    if isinstance(step, FunctionTransformer) and step.func is None:  # what "passthrough" becomes when it is fitted
        return step, place.after
    return visit(step, place)
