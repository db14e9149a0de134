"""Shifts as recording rules: how far the scores of each step are off the baseline's, and what that adds up to.

The scores of `pipemon.spec.shift` count a value by its bin, so each step's sum of them is one of its histogram. Of its
n independent values their mean has the standard error e = sqrt(1/n + 1/N), with N those of the baseline, in standard
deviations of the scores. For the level z is mean / e. For the spread the scores are squares, whose mean follows
chi-squared over its degrees of freedom: its cube root is all but normal (Wilson and Hilferty 1931), and with u = e
times the scores' standard deviation z is 3 (mean^(1/3) - 1) / u + u / 3.

Each pair of sums, upwards and downwards, looks for a shift of 2 s standard errors: what a step adds is the logarithm of
how much likelier that makes its z than none, 2 s (z - s - a), with a what the baseline's own error explains. So sums of
different s have one limit (Lorden, Ann. Math. Statist. 42, 1971; Siegmund 1985). s is 0.75 standard errors, or half a
tenth of a standard deviation: the one sees soon what is large, the other what is small where there are few values in
a step. Of many values half a tenth is above 0.75 standard errors, and both look for a tenth: no less adds up.

A sum is held over steps with too few values, and begins anew where Prometheus was away for longer than its lookback.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, cast

from pipemon import catalogue as c
from pipemon.generate.drift import constants
from pipemon.generate.drift.constants import Reference, beside
from pipemon.generate.drift.distribution import compared, counted_with_baseline, info_name, of_a_version
from pipemon.generate.drift.watched import Watched
from pipemon.generate.drift.watched import references as watched_references
from pipemon.generate.promql import Aggregate, Binary, Call, Expr, Matcher, Recorded
from pipemon.generate.queries import key
from pipemon.generate.recordings import Measure, Recording, Scope, here
from pipemon.spec.cusum import step_of
from pipemon.spec.model import Condition, FailureMode, Spec
from pipemon.spec.shift import KINDS, MOST, SLACKS, TRIFLE, Of, allowance, scores, spread_deviation
from pipemon.spec.signals import SHIFT

ENOUGH = 30
"""Independent values in a step for the mean of their scores to be all but normal; a step with fewer is passed over."""
Side = Literal["high", "low"]
_SIDES: tuple[Side, ...] = ("high", "low")
_FEATURE = ("direction", "feature")


@dataclass(frozen=True)
class Shifts:
    """The rules of the features that failure modes watch for shifts, evaluated once each `step` seconds.

    `counted` are a step's values up to each bound, `error` the standard error of their scores' mean, `scores` each
    step's z, `of` what. `slacks` are s by `size`, `allowance` is a, and `sums` are by `of`, `size` and `side`.
    """

    step: float
    counted: Recording
    error: Recording
    scores: tuple[Recording, ...]
    allowance: Recording
    slacks: tuple[Recording, ...]
    sums: tuple[Recording, ...]


def shift_measure(spec: Spec, mode: FailureMode, condition: Condition) -> Measure:
    """Return the highest sum of a feature, of the version that is furthest from its own baseline."""
    assert condition.feature is not None
    sums = shifts_of(spec).sums
    by = (*key(spec, mode.stage), *_FEATURE, "of")
    name = f"{'_'.join(by)}:{sums[0].name.partition(':')[2]}"
    value = Recording(name, Aggregate("max", by, Recorded(sums[0].name, sums[0].labels)), by, sums)
    which = (
        ("direction", condition.feature.direction),
        ("feature", condition.feature.name),
        ("of", condition.argument),
    )
    return Measure(value, (*here(spec, mode.stage), *(Matcher(*each) for each in _equal(which))), None, ())


def _equal(labels: tuple[tuple[str, str], ...]) -> tuple[tuple[str, Literal["="], str], ...]:
    return tuple((label, "=", value) for label, value in labels)


def shifts_of(spec: Spec) -> Shifts:
    """Return the rules for what a pipeline's failure modes watch for shifts."""
    return spec.derived("shifts", lambda spec: shifts(spec, watched_for_shifts(spec)))


def watched_for_shifts(spec: Spec) -> dict[Of, tuple[Reference, ...]]:
    """Return the baselines of the features that failure modes watch for shifts of their level, or spread."""
    found: dict[Of, dict[Watched, None]] = {}
    for mode in spec.measurable:
        for each in mode.conditions:
            if each.signal == SHIFT and each.feature is not None and mode.stage is not None:
                feature = (mode.stage, each.feature.direction, each.feature.name)
                found.setdefault(cast(Of, each.argument), {})[feature] = None
    wild = found.get("spread", {})
    every = {of: watched_references(spec, tuple(found[of])) for of in KINDS if of in found}
    return {
        of: tuple(_of_spread(each) if (each.stage, each.direction, each.feature) in wild else each for each in those)
        for of, those in every.items()
    }


def _of_spread(reference: Reference) -> Reference:
    """Return the baseline of a feature whose spread is watched: its values tell as little as they do of that."""
    base = reference.baseline
    return replace(reference, baseline=replace(base, cumulative_design_effect=base.effect_on_spread))


def shifts(spec: Spec, watched: dict[Of, tuple[Reference, ...]]) -> Shifts:
    """Return the rules for the level, or the spread, of features whose baselines are `watched`."""
    every = {(each.stage, each.direction, each.feature, each.version): each for of in watched.values() for each in of}
    references = tuple(every.values())
    step = step_of(spec.timing)
    scope = Scope(spec, (*key(spec, references[0].stage), "version", "track"), step)
    known = tuple(compared(scope, each) for each in references)
    counted = counted_with_baseline(scope, references, c.FEATURE_VALUE, "le", known)
    error = _error(scope, references, counted)
    labels = error.labels
    found = tuple(_score(scope, of, those, counted, error) for of, those in watched.items())
    said = tuple(
        constants.constant("score_allowance", allowance(each.baseline), each.place(spec)) for each in references
    )
    explained = beside("*", Binary("/", 1.0, error.series()), constants.read("score_allowance"))
    name = scope.name("pipemon_feature_shift", "standard_score_allowance", *_FEATURE)
    allowed = Recording(name, explained, labels, (*said, error))
    slacks = tuple(_slack(scope, size, least, error) for size, least in SLACKS.items())
    sums = tuple(_sum(scope, found, allowed, slack, side) for slack in slacks for side in _SIDES)
    return Shifts(step, counted, error, found, allowed, slacks, sums)


def _error(scope: Scope, references: tuple[Reference, ...], counted: Recording) -> Recording:
    """Return the rule of the standard error of the scores' mean, where there are values enough in a step."""
    spec, labels = scope.spec, (*scope.by, *_FEATURE, "baseline")
    said = tuple(
        constant
        for each in references
        for constant in (
            *(r for r in constants.guards(spec, each) if r.name == f"{constants.BASELINE}observations"),
            constants.constant("shift_design_effect", each.baseline.effect_on_sums, each.place(spec)),
        )
    )
    # Between the scrapes of two steps lies a piece that neither sees: the count is extrapolated over it.
    seen = Binary("*", _all(counted, labels), 1 - spec.timing.scrape_interval / scope.window)
    independent = Binary(">=", beside("/", seen, constants.read("shift_design_effect")), float(ENOUGH))
    of_baseline = Binary("/", constants.read("shift_design_effect"), constants.read("observations"))
    expr = Call("sqrt", (beside("+", Binary("/", 1.0, independent), of_baseline),))
    name = scope.name("pipemon_feature_shift", "standard_error", *_FEATURE)
    return Recording(name, expr, labels, (*said, counted))


def _all(counted: Recording, labels: tuple[str, ...]) -> Expr:
    return Aggregate("max", labels, counted.series(Matcher("le", "=", "+Inf")))


def _score(scope: Scope, of: Of, references: tuple[Reference, ...], counted: Recording, error: Recording) -> Recording:
    """Return the rule of each step's z for the level or the spread."""
    spec, labels = scope.spec, error.labels
    said = [constant for each in references for constant in _scores(spec, each, of)]
    weighed = beside("*", counted.series(), constants.read("score", "le", of=of), "le")
    mean = Binary("/", Aggregate("sum", labels, weighed), Binary(">", _all(counted, labels), 0.0))
    if of == "level":
        expr: Expr = Binary("/", mean, error.series())
    else:
        said += [
            constants.constant("spread_deviation", spread_deviation(each.baseline), each.place(spec))
            for each in references
        ]
        u = beside("*", error.series(), constants.read("spread_deviation"))
        # Counts are extrapolated, each bucket by itself: a sum may be a little under zero.
        root = Binary("^", Call("clamp_min", (mean, 0.0)), 1 / 3)
        expr = Binary("+", Binary("/", Binary("*", 3.0, Binary("-", root, 1.0)), u), Binary("/", u, 3.0))
    name = scope.name("pipemon_feature_shift", "standard_score", *_FEATURE, "of")
    return Recording(name, expr, (*labels, "of"), (*said, counted, error), static=(("of", of),))


def _scores(spec: Spec, reference: Reference, of: Of) -> list[Recording]:
    """Return by how much more a value up to each bound counts than one above it; by the last, what one beyond does."""
    found = (*scores(reference.baseline, of), 0.0)
    bounds = zip(reference.bins, found, found[1:], strict=False)
    place = reference.place(spec)
    return [constants.constant("score", low - high, place, of=of, le=le) for le, low, high in bounds]


def _slack(scope: Scope, size: str, least: float, error: Recording) -> Recording:
    """Return the rule of half the shift that a pair of sums looks for, in standard errors."""
    trifle = Binary("/", TRIFLE / 2, error.series())
    expr: Expr = Call("clamp_min", (trifle, least)) if least else trifle
    name = scope.name("pipemon_feature_shift", "standard_score_slack", *_FEATURE, "size")
    return Recording(name, expr, (*error.labels, "size"), (error,), static=(("size", size),))


def _sum(scope: Scope, every: tuple[Recording, ...], allowed: Recording, slack: Recording, side: Side) -> Recording:
    """Return the rule of one sum. It stops at MOST, so that it is soon below its limit when all is well again."""
    labels = allowed.labels
    size = dict(slack.static)["size"]
    static = (("size", size), ("side", side))
    which = tuple(Matcher(label, "=", value) for label, value in static)
    name = scope.name("pipemon_feature_shift", "cusum", *_FEATURE, "of", "size", "side")
    before = Recorded(name, (*labels, "of"), which, offset=scope.window)
    last = Aggregate("max", (*labels, "of"), before)
    z = every[0].series()
    s = Recorded(slack.name, labels, (Matcher("size", "=", size),))
    beyond = Binary("-", z if side == "high" else Binary("*", -1.0, z), Binary("+", s, allowed.series(), on=labels),
                    on=labels, group_left=True)  # fmt: skip
    likelier = Binary("*", Binary("*", 2.0, beyond), s, on=labels, group_left=True)
    start = Binary("or", last, Binary("*", 0.0, z))
    own = of_a_version(scope.spec)
    held = Binary("and", last, Recorded(info_name(scope), own), on=own)
    expr = Binary("or", Call("clamp", (Binary("+", start, likelier), 0.0, MOST)), held)
    return Recording(name, expr, (*labels, "of", "size", "side"), (*every, allowed, slack), static=static)
