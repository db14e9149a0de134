"""Whether what is rare in the baseline has become more than chance explains: the tails, and categories hardly seen."""

from __future__ import annotations

from pipemon.generate.drift import constants
from pipemon.generate.drift.constants import beside
from pipemon.generate.drift.distribution import Distribution
from pipemon.generate.promql import Aggregate, Binary, Call, Expr, Matcher
from pipemon.generate.recordings import Recording


def rare_evidence(live: Distribution) -> Recording:
    """Return the rule that tells by part: above 1 chance does not explain the count.

    The exact test of two Poisson counts, k of n live and K of N in the baseline, is binomial: P(k or more) is that
    of G(k) / n being under G(K + 1) / N, two gamma variables (Przyborowski and Wilenski 1940). Their cube roots
    are all but normal (Wilson and Hilferty 1931), which makes a formula of it: with a = K + 1 and e = a n / N,
    z = 3 (k^(1/3) (1 - 1/(9k)) - e^(1/3) (1 - 1/(9a))) / sqrt(k^(-1/3) + e^(2/3) / a), over its quantile. Both
    counts are divided by the design effect: of independent observations.
    """
    labels = (*live.key, "part")
    by_part = Aggregate("sum", labels, live.bins.series(Matcher("part", "!=", "core")))
    seen = Binary(">", beside("/", by_part, constants.read("design_effect")), 0.0)
    count = Recording(live.name("rare_independent", "part"), seen, labels, (live.bins,))
    k, a = count.series(), constants.read("rare_count", "part")
    scale = beside("/", live.usable.series(), constants.read("observations"))
    here = Binary("*", Binary("^", k, 0.0), scale, on=live.key, group_left=True)
    expected = Recording(live.name("rare_expected", "part"), beside("*", here, a, "part"), labels, (count, live.usable))
    e = expected.series()
    own = Binary("*", _cube_root(k), Binary("-", 1.0, Binary("/", 1 / 9, k)))
    others = beside("*", _cube_root(e), Binary("-", 1.0, Binary("/", 1 / 9, a)), "part")
    spread = Binary("+", Binary("^", k, -1 / 3), beside("/", Binary("^", e, 2 / 3), a, "part"))
    z = Binary("/", Binary("*", 3.0, Binary("-", own, others)), Call("sqrt", (spread,)))
    expr = beside("/", z, constants.read(f"quantile{live.shorter}", of="normal"))
    return Recording(live.name("rare_evidence", "part"), expr, labels, (count, expected))


def more_than_chance(count: Expr, others: Expr, expected: Expr) -> Expr:
    """Return z of the same test for a count, K + 1 of the other side, and what that lets expect: of equal labels."""
    own = Binary("*", _cube_root(count), Binary("-", 1.0, Binary("/", 1 / 9, count)))
    usual = Binary("*", _cube_root(expected), Binary("-", 1.0, Binary("/", 1 / 9, others)))
    spread = Binary("+", Binary("^", count, -1 / 3), Binary("/", Binary("^", expected, 2 / 3), others))
    return Binary("/", Binary("*", 3.0, Binary("-", own, usual)), Call("sqrt", (spread,)))


def _cube_root(expr: Expr) -> Expr:
    return Binary("^", expr, 1 / 3)
