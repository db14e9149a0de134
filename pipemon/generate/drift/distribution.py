"""The live distribution of features, bin by bin, beside the baseline's: what all statistics are made of."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

from pipemon import catalogue as c
from pipemon.catalogue import Metric
from pipemon.generate.drift import constants
from pipemon.generate.drift.constants import ANY, PLACE, Reference, beside
from pipemon.generate.promql import Aggregate, Binary, Call, Expr, Matcher, Recorded, one_of, select, span
from pipemon.generate.queries import key, matchers, targets
from pipemon.generate.recordings import Recording, Scope
from pipemon.spec.baseline import RHYTHMS
from pipemon.spec.model import Spec

_FEATURE = ("direction", "feature")


@dataclass(frozen=True)
class Distribution:
    """Rules for features that are all numbers or all categories, over one window.

    `key` are the labels of one live feature; it has `baseline`, the version whose baseline it is compared with.
    `bins` counts what is in each, and `ratio` is its share with half an observation more in each bin, where there
    are enough of them. `reference` is the baseline's share of the same bins, by PLACE and `bin`. `count` is how
    many values there are, `usable` the same where its baseline says that they are enough for a verdict.
    `cumulative` counts values up to each `le`. `shorter` is that of the baselines.
    """

    scope: Scope
    metric: str
    key: tuple[str, ...]
    bins: Recording
    ratio: Recording
    reference: Recorded
    count: Recording
    usable: Recording
    cumulative: Recording | None
    shorter: str = ""

    def name(self, what: str, *more: str) -> str:
        """Return the name of a rule about this: level:metric:operation."""
        return self.scope.name(f"{self.metric}_{what}", "increase", *_FEATURE, *more)


def distribution(spec: Spec, window: float, references: tuple[Reference, ...]) -> Distribution:
    """Return the rules for the features of `references`, which are all numbers or all categories.

    Counts are summed over the replicas of one version and track. A version has the bins of its baseline, now and
    over the whole window, or there is nothing to compare: no series then.
    """
    by = (*key(spec, references[0].stage), "version", "track")
    scope = Scope(spec, by, window)
    whole = (*by, *_FEATURE, "baseline")
    known = tuple(compared(scope, reference) for reference in references)
    seen_or_not: tuple[Recording, ...] = ()
    said = tuple(chain.from_iterable((*constants.ratios(spec, r), *constants.guards(spec, r)) for r in references))
    if references[0].has_categories:
        metric = "pipemon_feature_category"
        counted = counted_with_baseline(scope, references, c.FEATURE_CATEGORY, "category", known)
        bins = _category_bins(scope, references, counted, said)
        seen_or_not = (_or_unseen(scope, bins),)
        reference = seen_or_not[0].series()
        cumulative = None
    else:
        metric = "pipemon_feature_value"
        cumulative = counted_with_baseline(scope, references, c.FEATURE_VALUE, "le", known)
        bins = _number_bins(scope, cumulative, said)
        reference = constants.read("ratio", "bin")
    name = scope.name(f"{metric}_compared", "increase", *_FEATURE)
    count = Recording(name, Aggregate("sum", whole, bins.series()), whole, (bins,))
    enough = beside(">=", count.series(), constants.read("least_observations"))
    usable = Recording(scope.name(f"{metric}_usable", "increase", *_FEATURE), enough, whole, (count,))
    smooth = Binary("+", usable.series(), Binary("*", 0.5, Aggregate("count", whole, bins.series())))
    share = Binary("/", Binary("+", bins.series(), 0.5), smooth, on=whole, group_left=True)
    ratio_name = scope.name(f"{metric}_bin", "ratio_increase", *_FEATURE, "bin", "part")
    ratio = Recording(ratio_name, share, (*whole, "bin", "part"), (bins, usable, *seen_or_not))
    shorter = references[0].shorter
    return Distribution(scope, metric, whole, bins, ratio, reference, count, usable, cumulative, shorter)


def compared(scope: Scope, reference: Reference) -> Recording:
    """Return the rule that tells which versions have the bins of a baseline, and all along the window had them.

    A window of a day or more is that long for the mix of a whole day: nothing is told before the feature is a day old.
    A new version of it need not be.
    """
    spec, own = scope.spec, reference.version
    which = [
        *matchers(spec, c.FEATURE_INFO),
        Matcher("stage", "=", reference.stage),
        Matcher("direction", "=", reference.direction),
        Matcher("feature", "=", reference.feature),
    ]
    of_any_version = tuple(which)
    if own:
        which.append(Matcher("version", "=", own))
    elif reference.others:
        others = one_of("version", reference.others)
        which.append(Matcher("version", "!~" if others.op == "=~" else "!=", others.value))

    def having(op: str, window: float | None) -> Expr:
        these = (*which, Matcher("bins", op, reference.baseline.bins))
        series = select(c.FEATURE_INFO, these, window=window, target_labels=targets(spec))
        info: Expr = series if window is None else Call("max_over_time", (series,))
        return Aggregate("group", of_a_version(spec), info)

    same = Binary("unless", having("=", None), having("!=", scope.window))
    if holds_a_day(spec, scope.window):
        day = RHYTHMS["daily"]
        lately = select(c.FEATURE_INFO, of_any_version, window=day, offset=day, target_labels=targets(spec))
        on = (*key(spec, ""), *_FEATURE)
        same = Binary("and", same, Aggregate("group", on, Call("max_over_time", (lately,))), on=on)
    return Recording(
        info_name(scope), same, (*of_a_version(spec), "baseline"), static=(("baseline", own or ANY), *_whose(reference))
    )


def holds_a_day(spec: Spec, window: float) -> bool:
    """Tell whether a window is one of a day or more; the last run of what has a schedule is none."""
    return spec.schedule is None and window >= RHYTHMS["daily"]


def of_a_version(spec: Spec) -> tuple[str, ...]:
    """Return the labels of a feature of one version."""
    return (*key(spec, ""), "version", *_FEATURE)


def info_name(scope: Scope) -> str:
    """Return the name of the rule that tells which baseline a version is compared with."""
    return f"{'_'.join(of_a_version(scope.spec))}:pipemon_feature_baseline:info{span(scope.window)}"


def _whose(reference: Reference) -> tuple[tuple[str, str], ...]:
    return (("direction", reference.direction), ("feature", reference.feature), ("stage", reference.stage))


def counted_with_baseline(
    scope: Scope, references: tuple[Reference, ...], metric: Metric, label: str, known: tuple[Recording, ...]
) -> Recording:
    """Return the rule that counts a metric's events by `label`, with the baseline that they are compared with."""
    these = [
        one_of(name, tuple(sorted({getattr(reference, name) for reference in references})))
        for name in ("stage", "direction", "feature")
    ]
    more = (*_FEATURE, label)
    suffix = "_bucket" if metric.type == "histogram" else ""
    counted = scope.counted(metric, *these, more=more, suffix=suffix)
    # By the labels of a version: which baseline is one of them.
    own = of_a_version(scope.spec)
    info = Recorded(info_name(scope), own)
    expr = Binary("*", counted.expr, info, on=own, group_left=True, included=("baseline",))
    return Recording(counted.name, expr, (*scope.by, *more, "baseline"), known)


def _number_bins(scope: Scope, cumulative: Recording, said: tuple[Recording, ...]) -> Recording:
    """Return the rule that takes from the count up to each bound the one up to the bound below it."""
    whole = (*scope.by, *_FEATURE, "baseline")
    layout = Binary(">= bool", constants.ratios_of_numbers(), 0.0)
    on = (*PLACE, "le")
    up_to = Binary("*", cumulative.series(), layout, on=on, group_left=True, included=("bin", "below", "part"))
    here = Call("label_replace", (cumulative.series(), "below", "$1", "le", "(.+)"))
    all_ = Binary("*", 0.0, cumulative.series(Matcher("le", "=", "+Inf")))
    none = Call("label_replace", (all_, "below", "-Inf", "", ""))
    below = Aggregate("max", (*whole, "below"), Binary("or", here, none))
    # Counts are extrapolated, each bucket by itself: a difference may be a little under zero.
    inside = Call("clamp_min", (Binary("-", up_to, below, on=(*whole, "below"), group_left=True), 0.0))
    labels = (*whole, "bin", "part")
    name = scope.name("pipemon_feature_value_bin", "increase", *_FEATURE, "bin", "part")
    # One series each, without its bounds.
    return Recording(name, Aggregate("max", labels, inside), labels, (*said, cumulative))


def _category_bins(
    scope: Scope, references: tuple[Reference, ...], counted: Recording, said: tuple[Recording, ...]
) -> Recording:
    """Return the rule that counts each category: one that the baseline does not know is rare.

    Those that the baseline alone knows are zero.
    """
    whole = (*scope.by, *_FEATURE, "baseline")
    named = Call("label_replace", (counted.series(), "bin", "$1", "category", "(?s)(.+)"))
    layout = Binary(">= bool", constants.read("ratio", "bin"), 0.0)
    known = Binary("*", named, layout, on=(*PLACE, "bin"), group_left=True, included=("part",))
    unknown = Call("label_replace", (named, "part", "rare", "", ""))
    zero = tuple(
        _zero(scope, reference, counted, category, part)
        for reference in references
        for category, part in zip(reference.bins, reference.parts, strict=True)
    )
    labels = (*whole, "bin", "part")
    name = scope.name("pipemon_feature_category_bin", "increase", *_FEATURE, "bin", "part")
    heard = Binary("or", known, unknown, on=(*whole, "bin"))
    # One rule writes both: of two, the one that ends a series and the one that goes on with it do so at one time, and
    # Prometheus takes but one sample.
    expr = Aggregate("max", labels, Binary("or", heard, zero[0].series(), on=(*whole, "bin")))
    return Recording(name, expr, labels, (*said, counted, *zero))


def _zero(scope: Scope, reference: Reference, counted: Recording, category: str, part: str) -> Recording:
    """Return the rule that says 0 of a category of the baseline, which nobody may count, where others are counted."""
    whole = (*scope.by, *_FEATURE, "baseline")
    which = tuple(Matcher(label, "=", value) for label, value in reference.place(scope.spec) if label != "pipeline")
    expr = Aggregate("max", whole, Binary("*", 0.0, counted.series(*which)))
    # The place is in the labels already; that a rule says it too tells rules of one name apart.
    static = (*reference.place(scope.spec), ("bin", category), ("part", part))
    name = scope.name("pipemon_feature_category_zero", "increase", *_FEATURE, "bin", "part")
    return Recording(name, expr, (*whole, "bin", "part"), static=static)


def _or_unseen(scope: Scope, bins: Recording) -> Recording:
    """Return the rule that gives each live category the baseline's share: one never seen has half an observation."""
    on = (*scope.spec.keep, *PLACE, "bin")
    nothing = Binary("*", 0.0, Aggregate("max", on, bins.series()))
    known = beside("+", nothing, constants.read("ratio", "bin"), "bin")
    expr = Binary("or", known, beside("+", nothing, constants.read("unseen_ratio")))
    name = f"{'_'.join(on)}:pipemon_feature_category_baseline:ratio{span(scope.window)}"
    return Recording(name, expr, on, (bins,))
