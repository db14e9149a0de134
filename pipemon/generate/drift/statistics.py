"""The statistics: how far a live distribution is from its baseline, and whether more than by chance.

With q and p the live and the baseline's shares of a bin, each with half an observation more (Krichevsky and
Trofimov 1981), n and N how many observations there are, F and G the cumulative shares at a bound:

- psi: sum of (q - p) ln(q / p), the population stability index;
- js: Jensen and Shannon's distance to base 2, sqrt((KL(q, m) + KL(p, m)) / 2) with m = (p + q) / 2, at most 1;
- hellinger: sqrt(sum of (sqrt q - sqrt p)^2 / 2), at most 1;
- chi2: sum of (q - p)^2 / p, which is Pearson's chi-squared divided by n;
- ks: the largest |F - G| at a bound;
- wasserstein: sum of |F - G| at each bound x how far the middles of the bins beside it are apart, in standard
  deviations of the baseline; what lies beyond the first and the last bound is taken to be there.

The first four are the same to second order: without drift psi / (1/n + 1/N) follows chi-squared with one degree
of freedom less than bins (Yurdakul and Naranjo 2020), chi2 too, hellinger^2 an eighth of it, js^2 an eighth / ln 2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from math import log

from pipemon.generate.drift import constants
from pipemon.generate.drift.constants import PLACE, Reference, beside
from pipemon.generate.drift.distribution import Distribution
from pipemon.generate.drift.rare import rare_evidence
from pipemon.generate.promql import Aggregate, Binary, Call, Expr, Matcher
from pipemon.generate.recordings import Recording
from pipemon.spec.signals import Statistic


@dataclass(frozen=True)
class Sum:
    """A statistic that is a sum over bins. Without drift, so many times it follows chi-squared x (1/n + 1/N).

    `term` is that of one bin, of its live share, of the baseline's, and of the labels beside PLACE that both have;
    with `root` the statistic is the sum's.
    """

    term: Callable[[Expr, Expr, tuple[str, ...]], Expr]
    times: float = 1.0
    root: bool = False


def _psi(q: Expr, p: Expr, on: tuple[str, ...]) -> Expr:
    return Binary("*", beside("-", q, p, *on), Call("ln", (beside("/", q, p, *on),)))


def _js(q: Expr, p: Expr, on: tuple[str, ...]) -> Expr:
    # With r = q / p: (q log2(2r / (r + 1)) + p log2(2 / (r + 1))) / 2, and p = q / r.
    r = beside("/", q, p, *on)
    more = Binary("+", r, 1.0)
    own = Binary("*", q, Call("log2", (Binary("/", Binary("*", 2.0, r), more),)))
    other = Binary("*", Binary("/", q, r), Call("log2", (Binary("/", 2.0, more),)))
    return Binary("/", Binary("+", own, other), 2.0)


def _hellinger(q: Expr, p: Expr, on: tuple[str, ...]) -> Expr:
    apart = beside("-", Call("sqrt", (q,)), Call("sqrt", (p,)), *on)
    return Binary("/", Binary("^", apart, 2.0), 2.0)


def _chi2(q: Expr, p: Expr, on: tuple[str, ...]) -> Expr:
    return beside("/", Binary("^", beside("-", q, p, *on), 2.0), p, *on)


SUMS: Mapping[Statistic, Sum] = {
    "psi": Sum(_psi),
    "js": Sum(_js, 8 * log(2), root=True),
    "hellinger": Sum(_hellinger, 8.0, root=True),
    "chi2": Sum(_chi2),
}


@dataclass(frozen=True)
class Drift:
    """The rules of one statistic.

    `value` is the statistic, absent where it is not known. `critical` is what it exceeds by chance as often as
    is allowed; `evidence` above 1 tells that chance does not explain it. `significant` is the value where it is
    more than chance, and 0 where it is not: what alerts compare. `ranked` is the evidence where several features have
    moved, a rule for each of the `ranks` of baselines, which it has as its label.
    """

    distribution: Distribution
    value: Recording
    critical: Recording
    evidence: Recording
    significant: Recording
    ranked: tuple[Recording, ...] = ()


def drift(live: Distribution, references: tuple[Reference, ...], statistic: Statistic) -> Drift:
    """Return the rules of a statistic; `ks` and `wasserstein` are for numbers only."""
    ranks = tuple(dict.fromkeys(rank for each in references for rank in each.ranks))
    if statistic in SUMS:
        value, critical, evidence, ranked = _sum(live, statistic, SUMS[statistic], ranks)
    else:
        value, critical, evidence, ranked = _of_bounds(live, references, statistic, ranks)
    more = Binary("> bool", evidence.series(), 1.0)
    expr = Binary("*", value.series(), more)
    name = live.name(f"{statistic}_significant")
    parts = (value, critical, evidence)
    return Drift(live, value, critical, evidence, Recording(name, expr, live.key, parts), ranked)


def _ranked(live: Distribution, statistic: str, rank: int, expr: Expr, parts: tuple[Recording, ...]) -> Recording:
    name = live.name(f"{statistic}_ranked_evidence", "rank")
    return Recording(name, expr, (*live.key, "rank"), parts, static=(("rank", str(rank)),))


def _at(live: Distribution, rank: int, evidence: Expr, of: str) -> Binary:
    return beside("*", evidence, constants.read(f"rank_ratio{live.shorter}", of=of, rank=str(rank)))


def _chance(live: Distribution, effect: str = "design_effect") -> Expr:
    """Return (1/n + 1/N) x a design effect."""
    both = beside("+", Binary("/", 1.0, live.usable.series()), Binary("/", 1.0, constants.read("observations")))
    return beside("*", both, constants.read(effect))


def _sum(
    live: Distribution, statistic: str, how: Sum, ranks: tuple[int, ...]
) -> tuple[Recording, Recording, Recording, tuple[Recording, ...]]:
    by_part = (*live.key, "part")
    terms = how.term(live.ratio.series(), live.reference, tuple(x for x in live.reference.labels if x not in PLACE))
    parts = Recording(live.name(f"{statistic}_sum", "part"), Aggregate("sum", by_part, terms), by_part, (live.ratio,))
    total: Expr = Aggregate("sum", live.key, parts.series())
    value = Recording(live.name(statistic), Call("sqrt", (total,)) if how.root else total, live.key, (parts,))
    quantile = constants.read(f"quantile{live.shorter}", of="chi_squared")
    limit: Expr = beside("*", _chance(live), quantile)
    limit = limit if how.times == 1 else Binary("/", limit, how.times)
    limit = Call("sqrt", (limit,)) if how.root else limit
    critical = Recording(live.name(f"{statistic}_critical"), limit, live.key, (live.usable,))
    at_most: Expr = Binary("^", critical.series(), 2.0) if how.root else critical.series()
    core = Binary("/", parts.series(Matcher("part", "=", "core")), at_most, on=live.key, group_left=True)
    rare = rare_evidence(live)
    # A baseline of one value has no core to speak of, and its tails may be empty: that is no evidence.
    none = Binary("*", 0.0, live.usable.series())
    found = Aggregate("max", live.key, Binary("or", Binary("or", core, rare.series()), none))
    evidence = Recording(live.name(f"{statistic}_evidence"), found, live.key, (parts, critical, rare))

    def at(rank: int) -> Expr:
        of_core, of_rare = _at(live, rank, core, "chi_squared"), _at(live, rank, rare.series(), "normal")
        return Aggregate("max", live.key, Binary("or", of_core, of_rare))

    ranked = tuple(_ranked(live, statistic, rank, at(rank), evidence.parts) for rank in ranks)
    return value, critical, evidence, ranked


def _of_bounds(
    live: Distribution, references: tuple[Reference, ...], statistic: Statistic, ranks: tuple[int, ...]
) -> tuple[Recording, Recording, Recording, tuple[Recording, ...]]:
    assert live.cumulative is not None
    spec = live.scope.spec
    said = tuple(
        chain.from_iterable((*constants.cumulative(spec, each), *constants.whole(spec, each)) for each in references)
    )
    share = Binary("/", live.cumulative.series(), live.usable.series(), on=live.key, group_left=True)
    apart: Expr = Call("abs", (beside("-", share, constants.read("cdf", "le"), "le"),))
    if statistic == "ks":
        total, of = Aggregate("max", live.key, apart), "kolmogorov"
    else:
        wide = beside("*", apart, constants.read("width", "le"), "le")
        total, of = Aggregate("sum", live.key, wide), "bridge_area"
    value = Recording(live.name(statistic), total, live.key, (*said, live.cumulative, live.usable))
    limit = beside(
        "*",
        Call("sqrt", (_chance(live, "cumulative_design_effect"),)),
        constants.read(f"quantile{live.shorter}", of=of),
    )
    critical = Recording(live.name(f"{statistic}_critical"), limit, live.key, (*said, live.usable))
    expr = Binary("/", value.series(), critical.series())
    evidence = Recording(live.name(f"{statistic}_evidence"), expr, live.key, (value, critical))
    ranked = tuple(
        _ranked(live, statistic, rank, _at(live, rank, evidence.series(), of), (*said, evidence)) for rank in ranks
    )
    return value, critical, evidence, ranked
