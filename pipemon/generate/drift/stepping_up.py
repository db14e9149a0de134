"""Which features of a stage have drifted by more than chance, of many: the more of them, the less each must show.

Benjamini and Hochberg's step-up (J. R. Statist. Soc. B 57, 1995): with m features and the stage's share alpha of false
alarms, k of them have moved if k have evidence at k alpha / m, for the largest such k. Of those that are said to have
moved alpha at most have not, on average, and a stage in which none has says so of some in alpha of its windows, as with
Bonferroni. Both hold for features that are independent or depend positively (Benjamini and Yekutieli 2001). Where not
every k is asked, which is so above 8, it says no more of them (Blanchard and Roquain 2008).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import reduce

from pipemon.generate.drift.statistics import Drift
from pipemon.generate.promql import Aggregate, Binary, Call, Expr, Matcher
from pipemon.generate.recordings import Recording

_FEATURE = ("direction", "feature")


def stepped_up(found: Drift, every: Iterable[Drift]) -> Drift:
    """Return a statistic's rules with what is significant among all features, which `every` statistic is asked of.

    As it is where features have no ranks.
    """
    if not found.ranked:
        return found
    scope, key, value = found.distribution.scope, found.distribution.key, found.value.series()
    by = (*scope.by, "rank")
    evidence: dict[str, list[Recording]] = {}
    # By their names: to compare them is to compare all constants that they read.
    for each in {(one.name, one.static): one for drift in every for one in drift.ranked}.values():
        evidence.setdefault(dict(each.static)["rank"], []).append(each)
    name = scope.name("pipemon_features_beyond_chance", "count", "rank")
    enough = tuple(_enough(name, by, rank, tuple(evidence[rank])) for rank in sorted(evidence, key=int))
    more = Binary(">", found.ranked[0].series(), 1.0)
    moved = Aggregate("max", key, Binary("and", more, enough[0].series(), on=by))
    expr = Binary("or", Binary("and", value, moved, on=key), Binary("*", 0.0, found.evidence.series()))
    parts = (*found.significant.parts, *found.ranked, *enough)
    return replace(found, significant=replace(found.significant, expr=expr, parts=parts))


def _enough(name: str, by: tuple[str, ...], rank: str, evidence: tuple[Recording, ...]) -> Recording:
    """Return the rule that counts the features with evidence at a rank, where there are so many or more."""
    each: list[Expr] = [
        # By several statistics a feature may have evidence twice.
        Call("label_replace", (Binary("> bool", one.series(Matcher("rank", "=", rank)), 1.0), "rule", one.name, "", ""))
        for one in evidence
    ]
    features = Aggregate("max", (*by, *_FEATURE), reduce(lambda a, b: Binary("or", a, b), each))
    expr = Binary(">=", Aggregate("sum", by, features), float(rank))
    return Recording(name, expr, by, evidence, static=(("rank", rank),))
