"""Making the steps of a model stages of a pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from pipemon.errors import DeclarationError, nearest
from pipemon.instrument import declaring
from pipemon.instrument.model import Model
from pipemon.instrument.pipeline import Pipeline
from pipemon.integrations.sklearn.places import Home, Place
from pipemon.integrations.sklearn.recording import arranged

E = TypeVar("E")


def instrument(
    estimator: E,
    pipeline: Pipeline,
    *,
    name: str = "",
    after: str | Sequence[str] | None = None,
    version: str | None = None,
    model: Model | None = None,
    track: str | None = None,
    budgets: Mapping[str, str | float] | None = None,
) -> E:
    """Return the estimator with its steps as stages of `pipeline`; the given one stays as it is.

    Steps are those of a Pipeline, FeatureUnion or ColumnTransformer, however nested, also inside a GridSearchCV
    or its like; any other estimator is one stage. A stage is called as in `get_params`: `union__tfidf`.

    Every call of transform, predict, predict_proba, predict_log_proba and decision_function is a batch: its rows
    are counted, and the share of entries missing in each is a feature. A classifier's labels (up to 50) and
    confidences, a clusterer's labels and a regressor's values are features of its output, unless it has several
    outputs. fit and its like, and score, record nothing; for cross-validation see `paused`.

    What is returned is of the estimator's class, in scikit-learn's eyes, and shares what it has learned. It can be
    fitted, cloned and pickled; where it is unpickled it records for the pipeline of that name, which is made if
    there is none, unless PIPEMON_DISABLED is set there. That process needs pipemon.

    Args:
        estimator: fitted or not.
        pipeline: where its stages belong.
        name: the stage's, of an estimator without steps (by default its class's in lower case); else what comes
            before the steps' names.
        after: the stages before the first steps, declared earlier; None if they begin the cascade.
        version: of the model; by default that of `model`, else the pipeline's. It travels with the model.
        model: what the version is made of, and when it was trained.
        track: stable, canary or shadow; by default the pipeline's.
        budgets: the time that a call may take, by stage: `{"clf": "20ms"}`.

    Raises DeclarationError for what can't be a stage's name (a step called "my step"), an unknown stage in `after` or
    `budgets`, and whatever else is declared wrongly.
    """
    told = declaring.check_model("model", model)
    place = Place(
        Home(pipeline),
        name,
        () if after is None else (after,) if isinstance(after, str) else tuple(after),
        version if version is not None else told.version if told is not None else pipeline.version,
        pipeline.track if track is None else track,
        told,
        dict(budgets or {}),
    )
    before = {stage.name for stage in pipeline.describe().stages}
    found, _ = arranged(estimator, place)
    declared = {stage.name for stage in pipeline.describe().stages}
    for stage in budgets or ():
        if stage not in declared:
            told_nearest = nearest(stage, declared - before)
            raise DeclarationError(f"budgets: the model has no step {stage!r}{told_nearest}")
    result: E = found
    return result
