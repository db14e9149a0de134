"""Which stage overran its budget most: what the alert of the whole pipeline's budget says."""

from __future__ import annotations

from pipemon import catalogue as c
from pipemon.generate.promql import Aggregate, Call, Matcher, select, text
from pipemon.generate.queries import matchers, per, targets, total
from pipemon.generate.recordings import Measure, Recording, Scope, own
from pipemon.spec.model import FailureMode, Spec
from pipemon.spec.reads import Quantile
from pipemon.spec.signals import SIGNALS

UNKNOWN = "No stage's time is known."
"""What an alert says where no stage with a budget was called."""


def tells(spec: Spec, mode: FailureMode) -> bool:
    """Tell whether a failure mode is about the time of the whole pipeline, and stages have budgets of their own."""
    if mode.stage is not None:
        return False
    about_time = any(
        isinstance(SIGNALS[condition.argument if condition.burns else condition.signal].reads, Quantile)
        for condition in mode.conditions
    )
    return about_time and any(stage.budget for stage in spec.stages)


def overrun(scope: Scope) -> Measure:
    """Return how long the stages' calls took on average, as a multiple of their budgets."""
    spec, stages = scope.spec, scope.also_by("stage")
    by, spent = stages.by, stages.spent(c.STAGE_DURATION)
    ended = total(stages, c.STAGE_DURATION, suffix="_count")
    budget = select(c.STAGE_BUDGET, matchers(spec, c.STAGE_BUDGET), target_labels=targets(spec))
    expr = per(per(spent.series(*own(spec)), ended), Aggregate("max", by, budget))
    name = scope.name("pipemon_stage_duration_seconds_per_budget", "ratio_rate", "stage")
    return Measure(Recording(name, expr, by, (spent,)), own(spec), None, ())


def overrun_query(spec: Spec, found: Measure) -> str:
    """Return the query for the stage that overran most, with `%s` for each label by which alerts are told apart."""
    place = tuple(Matcher(label, "=", "%s") for label in spec.told_apart_by)
    return text(Call("topk", (1.0, found.value.series(*found.matchers, *place))))


def overrun_words(stage: str, times: str) -> str:
    """Return what an alert says of a stage, whose calls took so many `times` its budget: it may be under 1."""
    return f"{stage} took {times} times its budget on average, more than any other stage."
