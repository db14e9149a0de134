"""Since when the values of a feature have moved, and which side of which stage moved first: CUSUM as recording rules.

Each step, the mean of the values in it is compared with the baseline's: z is how many standard errors it is off, or
how many tenths of a standard deviation where those are larger, so that much traffic does not make a trifle a shift.
Page's cumulative sums (1954) of z - 1/2 and of -z - 1/2, never below 0, are above LIMIT when the mean has moved.
The steps do not overlap, and the sums are of the standardised values of whole steps: run lengths are those of the
tables (Montgomery; Brook and Evans 1972). With a limit of 4 or 5 a series that does not move is taken for moved once
in 168 or 465 steps, and one that moves by a standard error is seen after 8.4 or 10.4.

The baseline's mean is itself off, by the same in each step, which adds up. So the sums take CERTAIN of its standard
errors more from each step: they tell of means outside the interval in which the true one lies, 95 times in 100.

The time at which a sum was last 0 estimates when the move began (Page). It is kept until the sum is 0 again, so it
is still right a day later. A Prometheus that was away for longer than its lookback starts anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Literal

from pipemon import catalogue as c
from pipemon.generate.drift import constants
from pipemon.generate.drift.constants import Reference, beside
from pipemon.generate.drift.distribution import compared, info_name, of_a_version
from pipemon.generate.drift.watched import references as watched_references
from pipemon.generate.drift.watched import watched
from pipemon.generate.promql import Aggregate, Binary, Call, Expr, Matcher, Recorded, one_of
from pipemon.generate.queries import ALL_VALUES, key
from pipemon.generate.recordings import Recording, Scope
from pipemon.spec.cusum import adds_up, step_of
from pipemon.spec.model import Spec
from pipemon.spec.signals import SHIFT

SLACK = 0.5
"""What is taken from each step's score: half the shift, in standard errors, that is looked for."""
LIMIT = 8.0
"""Above it a cumulative sum tells that the mean has moved: by chance once in 9,500 steps or so."""
CERTAIN = 2.0
"""So many standard errors of the baseline's mean are taken from each step's score, too."""
TRIFLE = 0.1
"""The shift in standard deviations that counts as one standard error at least."""
ENOUGH = 30
"""Independent values in a step for its mean to be all but normal; a step with fewer is passed over."""
TOGETHER = 30
"""Steps within which moves count as one: by chance an effect may seem to begin before its cause, rarely by more."""

Side = Literal["high", "low"]
_SIDES: tuple[Side, ...] = ("high", "low")
_FEATURE = ("direction", "feature")


@dataclass(frozen=True)
class Onset:
    """The rules of a pipeline's numbers. They are evaluated once each `step` seconds, in a group of their own.

    `score` is a step's z by feature, and `allowance` what the baseline explains of it; `sums` are the cumulative
    ones, by `side` too; `began` since when a sum is not 0, in Unix seconds, and `onset` the same where the sum is
    above the limit. `origin` is 1 for the stage and direction that moved first.
    """

    step: float
    score: Recording
    allowance: Recording
    sums: tuple[Recording, ...]
    began: Recording
    onset: Recording
    origin: Recording


def onset_of(spec: Spec) -> Onset | None:
    """Return the rules for what a pipeline's failure modes watch; None where fewer than two sides could move first."""
    return spec.derived("onset", _onset_of)


def _onset_of(spec: Spec) -> Onset | None:
    if spec.schedule is not None or not adds_up(spec.timing):
        # One run is one step: nothing adds up between them. Nor where a step has no two scrapes.
        return None
    found = moving(spec)
    return onset(spec, found) if len({(each.stage, each.direction) for each in found}) > 1 else None


def moving(spec: Spec) -> tuple[Reference, ...]:
    """Return the numbers that a pipeline's failure modes watch, which may move."""
    return _that_vary(watched_references(spec, tuple(dict.fromkeys((*watched(spec), *watched(spec, SHIFT))))))


def _that_vary(references: tuple[Reference, ...]) -> tuple[Reference, ...]:
    return tuple(each for each in references if not each.has_categories and each.baseline.sd > 0)


def onset(spec: Spec, references: tuple[Reference, ...], limit: float = LIMIT) -> Onset:
    """Return the rules for those features of `references` that are numbers which vary."""
    found = _that_vary(references)
    step = step_of(spec.timing)
    by = (*key(spec, found[0].stage), "version", "track")
    scope = Scope(spec, by, step)
    score, allowance = _score(scope, found)
    sums = tuple(_sum(scope, score, allowance, side, limit) for side in _SIDES)
    labels = (*score.labels, "side")
    above = Recorded(sums[0].name, labels)

    def name(what: str) -> str:
        return scope.name(f"pipemon_feature_{what}", "timestamp", *_FEATURE, "side")

    last = Recorded(name("drift_began"), labels, offset=step)
    kept = Binary("and", last, Binary(">", above, 0.0))
    began = Recording(name("drift_began"), Binary("or", kept, Call("timestamp", (above,))), labels, sums)
    beyond = Binary("and", began.series(), Binary(">", above, limit))
    since = Recording(name("drift_onset"), beyond, labels, (*sums, began))
    return Onset(step, score, allowance, sums, began, since, _origin(scope, since))


def _score(scope: Scope, references: tuple[Reference, ...]) -> tuple[Recording, Recording]:
    """Return the rules of each step's z, and of how much of it the baseline's own chance explains."""
    spec = scope.spec
    said = tuple(
        constant
        for each in references
        for constant in (
            *(r for r in constants.guards(spec, each) if r.name == f"{constants.BASELINE}observations"),
            constants.effect_on_sums(spec, each),
            constants.constant("mean", each.baseline.mean, each.place(spec)),
            constants.constant("sd", each.baseline.sd, each.place(spec)),
        )
    )
    known = tuple(compared(scope, each) for each in references)
    these = tuple(
        one_of(label, tuple(sorted({getattr(each, label) for each in references})))
        for label in ("stage", "direction", "feature")
    )
    labels = (*scope.by, *_FEATURE, "baseline")
    count = scope.counted(c.FEATURE_VALUE, *these, ALL_VALUES, more=_FEATURE, suffix="_bucket")
    own = of_a_version(spec)
    info = Recorded(known[0].name, own)
    here = Binary("*", count.expr, info, on=own, group_left=True, included=("baseline",))
    name = scope.name("pipemon_feature_value_compared", "increase", *_FEATURE)
    counted = Recording(name, here, labels, (*said, *known))
    positive, negative = (
        scope.counted(c.FEATURE_SUM, *these, Matcher("sign", "=", sign), more=_FEATURE).expr
        for sign in ("positive", "negative")
    )
    on = (*scope.by, *_FEATURE)
    total = Recording(scope.name("pipemon_feature_sum", "increase", *_FEATURE), Binary("-", positive, negative), on)
    # Between the scrapes of two steps lies a piece that neither sees: the count is extrapolated over it.
    seen = Binary("*", counted.series(), 1 - spec.timing.scrape_interval / scope.window)
    independent = Binary(">=", beside("/", seen, constants.read("cumulative_design_effect")), float(ENOUGH))
    chance = beside("+", Binary("/", 1.0, independent), _of_baseline())
    error = Call("clamp_min", (Call("sqrt", (chance,)), TRIFLE))
    own_error = Call("sqrt", (_of_baseline(),))
    name = scope.name("pipemon_feature_value", "standard_score_allowance", *_FEATURE)
    allowance = Recording(name, beside("*", Binary("/", CERTAIN, error), own_error), labels, (counted,))
    # The count has the label that tells the baseline, so the mean begins with it.
    zero = Binary("*", 0.0, Binary(">", counted.series(), 0.0))
    added = Binary("+", zero, total.series(), on=on, group_left=True)
    off = beside("-", Binary("/", added, Binary(">", counted.series(), 0.0)), constants.read("mean"))
    expr = Binary("/", beside("/", off, constants.read("sd")), error)
    name = scope.name("pipemon_feature_value", "standard_score", *_FEATURE)
    return Recording(name, expr, labels, (counted, total)), allowance


def _of_baseline() -> Expr:
    return Binary("/", constants.read("cumulative_design_effect"), constants.read("observations"))


def _sum(scope: Scope, score: Recording, allowance: Recording, side: Side, limit: float) -> Recording:
    """Return the rule of one sum. It stops at twice the limit, so that it is soon below it when all is well again."""
    name = scope.name("pipemon_feature_value", "cusum", *_FEATURE, "side")
    before = Recorded(name, score.labels, (Matcher("side", "=", side),), offset=scope.window)
    last = Aggregate("max", score.labels, before)
    z = score.series()
    start = Binary("or", last, Binary("*", 0.0, z))
    explained = Binary("+", allowance.series(), SLACK)
    grown = Binary("-", Binary("+" if side == "high" else "-", start, z), explained)
    own = of_a_version(scope.spec)
    held = Binary("and", last, Recorded(info_name(scope), own), on=own)
    expr = Binary("or", Call("clamp", (grown, 0.0, 2 * limit)), held)
    return Recording(name, expr, (*score.labels, "side"), (score, allowance), static=(("side", side),))


def _origin(scope: Scope, since: Recording) -> Recording:
    """Return the rule for what moved first; of what moved together, it is what lies furthest upstream."""
    spec = scope.spec
    whole = (*spec.keep, "pipeline")
    stages = (*whole, "stage", "direction")
    moved = Aggregate("min", stages, since.series())
    first = Binary("+", Aggregate("min", whole, since.series()), TOGETHER * scope.window)
    soon = Binary("<=", moved, first, on=whole, group_left=True)
    at = ("pipeline", "stage", "direction")
    position = Recorded("pipemon:stage:position", at)
    candidates = Binary("+", Binary("*", 0.0, soon), position, on=at, group_left=True)
    name = f"{'_'.join(stages)}:pipemon_drift_moved:position"
    places = Recording(name, candidates, stages, (*_positions(spec), since))
    least = Aggregate("min", whole, places.series())
    expr = Binary("== bool", places.series(), least, on=whole, group_left=True)
    found = Binary("==", expr, 1.0)
    return Recording(f"{'_'.join(stages)}:pipemon_drift_origin:info", found, stages, (places,))


def _positions(spec: Spec) -> tuple[Recording, ...]:
    order = [name for name in TopologicalSorter(spec.upstream).static_order() if name in spec.upstream]
    found = []
    for index, stage in enumerate(order):
        for side, direction in enumerate(("input", "output")):
            labels = (("pipeline", spec.pipeline), ("stage", stage), ("direction", direction))
            value = Call("vector", (float(2 * index + side),))
            found.append(Recording("pipemon:stage:position", value, tuple(name for name, _ in labels), static=labels))
    return tuple(found)
