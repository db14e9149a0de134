"""Drift from the recent past: the values of a window beside those of the hour before, or of the same hours a week ago.

Both sides are samples. With x and y the counts of a bin now and then, n and N the counts of all, the statistic is that
of the shares (x + 1/2) / (n + B/2) and (y + 1/2) / (N + B/2) of B bins: the size. Whether it is more than chance is
asked of the counts of both sides:

- Bins in which EXPECTED values or more are expected now (m n / (n + N), m = x + y) are the core: Pearson's chi-squared
  of two samples, sum of (k x - y)^2 / (k m) with k the ratio of the core's sums, has one degree of freedom less than
  there are such bins (Cramer 1946, 30.6). Which bins those are depends on the sums m alone, which the test is
  conditional on. Its quantile is Wilson and Hilferty's (1931): d (1 - 2 / (9 d) + z sqrt(2 / (9 d)))^3, at one in
  ten thousand within 2% from five degrees on, and up to 7% too high of fewer.
- All others are one count, and more of them now is judged by the exact test of two Poisson counts, as in `rare`.
- `ks` is judged by itself: sqrt(1/n + 1/N) x Kolmogorov's quantile (Smirnov 1948).

Counts are divided by the design effect of the baseline, where there is one: else values are taken to be independent.
Of the same hours a day or a week ago it is that of values which are compared so, where the baseline knows: what comes
every day is the same on both sides.

Of short windows there are many: what a window of LOOK hours may take for drift by chance, all the shorter ones in it
share. So chance fires as seldom in a week, whatever the window.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from pipemon import catalogue as c
from pipemon.generate.drift.constants import ALPHA, CORES, PLACE, looks
from pipemon.generate.drift.quantiles import kolmogorov, normal
from pipemon.generate.drift.rare import more_than_chance
from pipemon.generate.drift.statistics import SUMS
from pipemon.generate.drift.watched import design_effects, watched
from pipemon.generate.held import fired_then, kept
from pipemon.generate.promql import Aggregate, Binary, Call, Expr, Matcher, Recorded, select, span
from pipemon.generate.queries import key, matchers, targets
from pipemon.generate.recordings import Measure, Recording, here, usual
from pipemon.spec.distribution import Bins, bins_of
from pipemon.spec.model import Condition, FailureMode, Spec
from pipemon.spec.signals import Statistic

LEAST = 100
"""Independent values on either side, fewer are unknown."""
EXPECTED = 5.0
"""Independent values that must be expected in a bin now for chi-squared to hold of it (Cochran 1954)."""
_FEATURE = ("direction", "feature")


class Recent:
    """The rules of one failure mode; `what` they make has the labels of `series`, and `failure_mode`."""

    def __init__(self, spec: Spec, mode: FailureMode, condition: Condition) -> None:
        feature, against = condition.feature, condition.against
        assert feature is not None
        assert against is not None
        self.spec, self.mode, self.feature, self.against = spec, mode, feature, against
        self.statistic = cast(Statistic, condition.argument)
        self.by = (*key(spec, mode.stage), "track")
        self.static = (("baseline", against.words), ("failure_mode", mode.name))
        self.series = (*self.by, *_FEATURE, "baseline", "failure_mode")
        self.mine = Matcher("failure_mode", "=", mode.name)
        self.effect, self.effect_on_sums = design_effects(spec, mode.stage or "", feature, against)
        self.bins: Bins = bins_of(spec, mode.stage or "", feature)
        self.cell = "category" if feature.categories else "le"
        features = sum(1 for stage, _, _ in watched(spec) if stage == mode.stage)
        self.alpha = ALPHA / max(1, features) / looks(spec, mode.window)
        self.stem = "pipemon_feature_category" if feature.categories else "pipemon_feature_value"

    @property
    def earlier(self) -> float:
        """How much of the past is compared with, in seconds."""
        return max(self.mode.window, self.spec.timing.long_window)

    def rule(self, what: str, expr: Expr, *more: str, parts: tuple[Recording, ...]) -> Recording:
        """Return a rule about this: level:metric:operation."""
        level = "_".join((*self.by, *_FEATURE, *more))
        name = f"{level}:{self.stem}_{what}:increase{span(self.mode.window)}_recent"
        return Recording(name, expr, (*self.series, *more), parts, self.static)

    def read(self, recording: Recording, *which: Matcher) -> Recorded:
        """Return what one of these rules made for this failure mode."""
        return recording.series(self.mine, *which)

    def each(self, op: str, of_bins: Expr, whole: Expr) -> Binary:
        """Return `of_bins op whole`, each bin with the one value of them all."""
        return Binary(op, of_bins, whole, on=self.series, group_left=True)

    def total(self, op: str, of_bins: Expr) -> Aggregate:
        """Return an aggregate over the bins."""
        return Aggregate(op, self.series, of_bins)


def recent_measure(spec: Spec, mode: FailureMode, condition: Condition) -> Measure:
    """Return how drift from the recent past is measured: 0 where chance explains it, absent where too little is known.

    All stable versions are taken together, so that a deploy blinds nobody. Where they have other bins than they are
    known by, or had within the time looked at, there is no value.
    """
    made = Recent(spec, mode, condition)
    significant, usable = recent_rules(made)
    by = (*key(spec, mode.stage), *_FEATURE)
    which = (
        *here(spec, mode.stage),
        Matcher("direction", "=", made.feature.direction),
        Matcher("feature", "=", made.feature.name),
        made.mine,
    )
    labels = (*by, "failure_mode")
    value, count = (
        Recording(
            f"{'_'.join(by)}:{each.name.partition(':')[2]}",
            Aggregate("max", labels, made.read(each)),
            labels,
            (each,),
            made.static[1:],
        )
        for each in (significant, usable)
    )
    return Measure(value, which, count, which)


def recent_rules(made: Recent) -> tuple[Recording, Recording]:
    """Return the rule of what is more than chance, and of how many values there are where they are enough."""
    now, then = _now(made), _then(made)
    if made.cell == "le":
        layout = tuple(_layout(made))
        cells = tuple(_cells(made, each, what, layout) for each, what in ((now, "bin_now"), (then, "bin_then")))
    else:
        cells = tuple(
            _categories(made, each, other, what)
            for each, other, what in ((now, then, "bin_now"), (then, now, "bin_then"))
        )
    x, y = cells
    n = made.rule("count", made.total("sum", made.read(x)), parts=(x,))
    before = made.rule("count_then", Binary(">", made.total("sum", made.read(y)), 0.0), parts=(y,))
    least = LEAST * made.effect
    enough = Binary("and", Binary(">=", made.read(n), least), Binary(">=", made.read(before), least))
    usable = made.rule("usable", enough, parts=(n, before))
    if made.statistic == "ks":
        value, evidence = _bounds(made, now, then, usable, before)
    else:
        value, evidence = _sum(made, x, y, usable, before)
    more = Binary("*", made.read(value), Binary("> bool", made.read(evidence), 1.0))
    return made.rule(f"{made.statistic}_significant", more, parts=(value, evidence)), usable


def _counted(made: Recent, offset: float) -> Recording:
    scope = replace(usual(made.spec, made.mode.stage, made.mode.window), by=made.by, track="stable", offset=offset)
    if offset:
        scope = replace(scope, window=made.earlier)
    metric, suffix = (c.FEATURE_CATEGORY, "") if made.cell == "category" else (c.FEATURE_VALUE, "_bucket")
    return scope.counted(metric, *_which(made), more=(*_FEATURE, made.cell), suffix=suffix)


def _which(made: Recent) -> tuple[Matcher, ...]:
    return (
        Matcher("stage", "=", made.mode.stage or ""),
        Matcher("direction", "=", made.feature.direction),
        Matcher("feature", "=", made.feature.name),
    )


def _now(made: Recent) -> Recording:
    spec, own = made.spec, (*key(made.spec, made.mode.stage), *_FEATURE)
    which = (*matchers(spec, c.FEATURE_INFO), *_which(made))
    told = select(c.FEATURE_INFO, which, target_labels=targets(spec))
    other_bins = (*which, Matcher("bins", "!=", made.bins.hash))
    # An hour or more, in which what is told now is, too: who tells bins now, and no others in that time, has these.
    lately = select(c.FEATURE_INFO, other_bins, window=made.mode.window + made.earlier, target_labels=targets(spec))
    known = Binary("and", _counted(made, 0.0).expr, Aggregate("group", own, told), on=own)
    expr = Binary("unless", known, Aggregate("group", own, Call("max_over_time", (lately,))), on=own)
    return made.rule("now", expr, made.cell, parts=())


def _then(made: Recent) -> Recording:
    """Return the counts of the past, without that in which the failure mode's own alert was there.

    Of a past that began before the feature did there are none: what is left of it is not those hours.
    """
    against = made.against
    ago = made.mode.window if against.hold else against.offset
    counted = made.rule("then", _counted(made, ago).expr, made.cell, parts=())
    place, labels = key(made.spec, made.mode.stage), counted.labels
    if against.hold:
        name = counted.name.replace("_then:", "_held:")
        itself = Recorded(name, labels, (made.mine,), offset=made.spec.interval(made.mode))
        held = kept(made.spec, made.mode, against.hold, Aggregate("max", labels, itself), place)
        expr: Expr = Binary("or", held, Aggregate("max", labels, made.read(counted)))
    else:
        name = counted.name.replace("_then:", "_clean:")
        fired = fired_then(made.spec, made.mode, against.offset, made.earlier)
        whole = Binary("and", made.read(counted), _seen_whole(made), on=(*place, *_FEATURE))
        expr = Binary("unless", whole, fired, on=place)
    return Recording(name, expr, labels, (counted,), made.static)


def _seen_whole(made: Recent) -> Expr:
    """Return whether the feature was known at some time within as long before the past as that is long."""
    told = select(
        c.FEATURE_INFO,
        (*matchers(made.spec, c.FEATURE_INFO), *_which(made)),
        window=made.earlier,
        offset=made.against.offset + made.earlier,
        target_labels=targets(made.spec),
    )
    return Aggregate("group", (*key(made.spec, made.mode.stage), *_FEATURE), Call("max_over_time", (told,)))


def _layout(made: Recent) -> list[Recording]:
    """Return, for each bin, the rule that says what the bound below its own is."""
    place = (("pipeline", made.spec.pipeline), *((m.label, m.value) for m in _which(made)))
    # One for each bound: what else they say of it is no label to tell them apart by.
    labels = (*(label for label, _ in place), "le")
    found = []
    for upper, below in made.bins.pairs:
        static = (*place, ("le", upper), ("bin", upper), ("below", below))
        found.append(Recording("pipemon:feature:bin", Call("vector", (1.0,)), labels, static=static))
    return found


def _cells(made: Recent, counted: Recording, what: str, layout: tuple[Recording, ...]) -> Recording:
    """Return the rule that takes from the count up to each bound the one up to the bound below it."""
    on = ("pipeline", "stage", *_FEATURE, "le")
    up_to = Binary("*", made.read(counted), layout[0].series(), on=on, group_left=True, included=("bin", "below"))
    nearest = Call("label_replace", (made.read(counted), "below", "$1", "le", "(.+)"))
    none = Call("label_replace", (_nothing(made, counted, "+Inf"), "below", "-Inf", "", ""))
    labels = (*made.series, "below")
    below = Aggregate("max", labels, Binary("or", nearest, none))
    inside = Call("clamp_min", (Binary("-", up_to, below, on=labels, group_left=True), 0.0))
    # One series each, without its bounds.
    expr = Aggregate("max", (*made.series, "bin"), inside)
    return made.rule(what, expr, "bin", parts=(*layout, counted))


def _nothing(made: Recent, counted: Recording, bound: str) -> Expr:
    return Binary("*", 0.0, made.read(counted, Matcher("le", "=", bound)))


def _categories(made: Recent, counted: Recording, other: Recording, what: str) -> Recording:
    """Return the rule of what is counted of each category that either side has: 0 of one that it has not."""
    zero = Binary("and", Binary("*", 0.0, made.read(other)), made.total("group", made.read(counted)), on=made.series)
    every = Binary("or", made.read(counted), zero)
    named = Call("label_replace", (every, "bin", "$1", "category", "(?s)(.+)"))
    return made.rule(what, Aggregate("max", (*made.series, "bin"), named), "bin", parts=(counted, other))


def _share(made: Recent, what: str, cells: Recording, whole: Recording) -> Recording:
    all_of_them = Binary("+", made.read(whole), Binary("*", 0.5, made.total("count", made.read(cells))))
    expr = made.each("/", Binary("+", made.read(cells), 0.5), all_of_them)
    return made.rule(what, expr, "bin", parts=(cells, whole))


def _sum(made: Recent, x: Recording, y: Recording, n: Recording, before: Recording) -> tuple[Recording, Recording]:
    how = SUMS[made.statistic]
    q, p = _share(made, "ratio_now", x, n), _share(made, "ratio_then", y, before)
    beside = tuple(label for label in (*made.series, "bin") if label not in PLACE)
    total: Expr = made.total("sum", how.term(made.read(q), made.read(p), beside))
    value = made.rule(made.statistic, Call("sqrt", (total,)) if how.root else total, parts=(q, p))
    return value, _evidence(made, x, y, n, before)


def _evidence(made: Recent, x: Recording, y: Recording, n: Recording, before: Recording) -> Recording:
    """Return the rule that tells whether chance explains the counts of both sides: it does not, above 1."""
    part = Binary("/", made.read(n), Binary("+", made.read(n), made.read(before)))
    pooled = Binary("+", made.read(x), made.read(y))
    expected = made.rule("bin_expected", made.each("*", pooled, part), "bin", parts=(x, y, n, before))
    is_core = Binary(">=", made.read(expected), EXPECTED * made.effect)
    core_x, core_y = (
        made.rule(f"core_{what}", Binary("and", made.read(each), is_core), "bin", parts=(each, expected))
        for what, each in (("now", x), ("then", y))
    )
    sums = (made.total("sum", made.read(core_y)), Binary(">", made.total("sum", made.read(core_x)), 0.0))
    times = made.rule("core_ratio", Binary("/", *sums), parts=(core_x, core_y))
    k = made.read(times)
    off = Binary("^", Binary("-", made.each("*", made.read(core_x), k), made.read(core_y)), 2.0)
    both = made.each("*", Binary("+", made.read(core_x), made.read(core_y)), k)
    squares = Binary("/", made.total("sum", Binary("/", off, Binary(">", both, 0.0))), made.effect)
    chi2 = made.rule("chi_squared", squares, parts=(core_x, core_y, times))
    degrees = Binary(">", Binary("-", made.total("count", made.read(core_x)), 1.0), 0.0)
    d = made.rule("degrees", degrees, parts=(core_x,))
    z = normal(made.alpha * CORES)
    ninth = Binary("/", 2 / 9, made.read(d))
    root = Binary("+", Binary("-", 1.0, ninth), Binary("*", z, Call("sqrt", (ninth,))))
    quantile = Binary("*", made.read(d), Binary("^", root, 3.0))
    of_core = Binary("/", made.read(chi2), quantile)
    rest_x, rest_y = (
        made.rule(
            f"rare_{what}",
            Binary("/", made.total("sum", Binary("unless", made.read(each), is_core)), made.effect),
            parts=(each, expected),
        )
        for what, each in (("now", x), ("then", y))
    )
    count = Binary(">", made.read(rest_x), 0.0)
    others = Binary("+", made.read(rest_y), 1.0)
    scale = Binary("/", made.read(n), made.read(before))
    of_rest = Binary("/", more_than_chance(count, others, Binary("*", others, scale)), normal(made.alpha * (1 - CORES)))
    # One value only, always: that is no evidence.
    none = Binary("*", 0.0, made.read(n))
    found = made.total("max", Binary("or", Binary("or", _named(of_core, "core"), _named(of_rest, "rare")), none))
    return made.rule("evidence", found, parts=(chi2, d, rest_x, rest_y, n, before))


def _named(expr: Expr, part: str) -> Expr:
    return Call("label_replace", (expr, "part", part, "", ""))


def _bounds(
    made: Recent, now: Recording, then: Recording, n: Recording, before: Recording
) -> tuple[Recording, Recording]:
    apart = Binary(
        "-", made.each("/", made.read(now), made.read(n)), made.each("/", made.read(then), made.read(before))
    )
    value = made.rule("ks", made.total("max", Call("abs", (apart,))), parts=(now, then, n, before))
    chance = Binary("+", Binary("/", 1.0, made.read(n)), Binary("/", 1.0, made.read(before)))
    most = Binary("*", Call("sqrt", (Binary("*", chance, made.effect_on_sums),)), kolmogorov(made.alpha))
    return value, made.rule("ks_evidence", Binary("/", made.read(value), most), parts=(value, n, before))
