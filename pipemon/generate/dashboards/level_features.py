"""What goes into a stage and what comes out of it: its features' means, and how often they are missing."""

from __future__ import annotations

from pipemon import catalogue as c
from pipemon.generate import queries as q
from pipemon.generate.dashboards.level import Level, Watch, threshold_lines
from pipemon.generate.dashboards.panels import Panel, Query
from pipemon.generate.dashboards.text import markdown, plain
from pipemon.generate.promql import Expr, Matcher
from pipemon.spec.signals import OF_DRIFT, SIGNALS, Drawn, Signal
from pipemon.topology import FeatureShape

_UNITS = {
    "seconds": "s",
    "milliseconds": "ms",
    "ratio": "percentunit",
    "percent": "percent",
    "dBFS": "dB",
    "dB": "dB",
    "bytes": "bytes",
    "hertz": "hertz",
}


def feature_panels(level: Level, direction: str) -> tuple[Panel, ...]:
    """Return the panels of one side of a stage, `input` or `output`."""
    assert level.stage is not None
    features = [f for f in level.spec.stage(level.stage).features if f.direction == direction]
    if not features:
        return ()
    panels = []
    together: dict[str, list[FeatureShape]] = {}
    for feature in features:
        if feature.categories:
            panels.append(_categories(level, feature))
            continue
        # A line across a panel belongs to one feature, and a unit that is not known is like no other.
        alone = bool(level.watching("mean", feature)) or not feature.unit
        together.setdefault(feature.name if alone else f"unit {feature.unit}", []).append(feature)
    for group in together.values():
        panels.append(_means(level, direction, group))
    watched = [f for f in features if level.watching("missing_ratio", f)]
    panels += [_missing(level, direction, (feature,)) for feature in watched]
    if unwatched := [f for f in features if f not in watched]:
        panels.append(_missing(level, direction, tuple(unwatched)))
    panels += [
        _watched(level, signal, feature, drawn, watches)
        for signal in SIGNALS.values()
        for feature in features
        if (drawn := signal.panel) is not None and (watches := level.watching(signal.name, feature))
    ]
    return tuple(panels)


def _watched(level: Level, signal: Signal, feature: FeatureShape, drawn: Drawn, watches: tuple[Watch, ...]) -> Panel:
    """A panel of a signal that is only drawn where a failure mode watches it."""
    queries = dict.fromkeys(
        query
        for watch in watches
        for query in level.recorded((watch,), plain(" ".join(filter(None, (drawn.legend, watch.condition.argument)))))
    )
    ratio = signal.unit == "ratio"
    return level.panel(
        f"{feature.direction}/{signal.name}/{feature.name}",
        f"{feature.direction.capitalize()}: {feature.name}, {drawn.title[:1].lower()}{drawn.title[1:]}",
        drawn.about,
        queries,
        watches,
        unit="percentunit" if ratio else _UNITS.get(feature.unit, "short") if signal.unit == "feature" else "short",
        lines=threshold_lines(watches),
        empty="too few values yet" if signal.name in OF_DRIFT else "no values",
        from_zero=ratio,
    )


def _means(level: Level, direction: str, features: list[FeatureShape]) -> Panel:
    names = ", ".join(feature.name for feature in features)
    unit = features[0].unit
    watches = tuple(watch for feature in features for watch in level.watching("mean", feature))
    queries = level.recorded(watches, features[0].name)
    if not queries:
        queries = tuple(Query(_mean(level, feature), plain(feature.name) + level.kept()) for feature in features)
    named = f" ({unit})" if unit and unit not in _UNITS else ""
    about = (
        f"Mean of what goes {'into' if direction == 'input' else 'out of'} {markdown(level.stage or '')}, "
        "over all calls in which there was a value. "
        + (
            "If it moves while this stage's software did not change, the cause is upstream or with the users."
            if direction == "input"
            else "If it moves and the input did not, this stage changed: compare with its last release."
        )
    )
    return level.panel(
        f"{direction}/mean/{features[0].name}",
        f"{direction.capitalize()}: {names}, mean{named}",
        about,
        queries,
        watches,
        unit=_UNITS.get(unit, "short"),
        lines=threshold_lines(watches),
        empty="no values",
        from_zero=False,
    )


def _categories(level: Level, feature: FeatureShape) -> Panel:
    """A feature of words has no mean."""
    metric, which = c.FEATURE_CATEGORY, (*level.here, *_which(feature))
    each = q.total(level.sums.also_by("category"), metric, *which)
    every = q.total(level.sums, metric, *which)
    return level.panel(
        f"{feature.direction}/categories/{feature.name}",
        f"{feature.direction.capitalize()}: {feature.name}, categories",
        "Share of each category. What nobody declared is other: if it rises, there is a new one.",
        [Query(q.per(each, every, level.by), "{{category}}" + level.kept())],
        unit="percentunit",
        empty="no values",
        names=(*feature.categories, c.OTHER),
    )


def _which(feature: FeatureShape) -> tuple[Matcher, ...]:
    return (Matcher("direction", "=", feature.direction), Matcher("feature", "=", feature.name))


def _mean(level: Level, feature: FeatureShape) -> Expr:
    return q.feature_mean(level.sums.also_by("direction", "feature"), *level.here, *_which(feature))


def _missing(level: Level, direction: str, features: tuple[FeatureShape, ...]) -> Panel:
    watches = tuple(watch for feature in features for watch in level.watching("missing_ratio", feature))
    queries = level.recorded(watches, features[0].name)
    names: list[str] = []
    if not queries:
        side = Matcher("direction", "=", direction)
        sums = level.sums.also_by("direction", "feature")
        raw = q.missing_ratio(sums, *level.here, side, *_only(level, features))
        queries, names = (Query(raw, "{{feature}}" + level.kept()),), [f.name for f in features]
    title = f"{features[0].name}, missing" if watches else "missing values"
    about = (
        "Share of calls in which a feature was None, empty, absent or not a number. At 100% its mean above says "
        "nothing. Look at who sends it."
    )
    return level.panel(
        f"{direction}/missing/{features[0].name if watches else ''}",
        f"{direction.capitalize()}: {title}",
        about,
        queries,
        watches,
        unit="percentunit",
        lines=threshold_lines(watches),
        names=names,
    )


def _only(level: Level, features: tuple[FeatureShape, ...]) -> tuple[Matcher, ...]:
    """Nothing if these are all of their side, else a matcher without the ones that have their own panel."""
    assert level.stage is not None
    shape = level.spec.stage(level.stage)
    others = [f.name for f in shape.features if f.direction == features[0].direction and f not in features]
    return tuple(Matcher("feature", "!=", name) for name in others)
