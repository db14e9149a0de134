"""What a baseline says, as recording rules that are constants: read beside the live series, and seen in panels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from typing import Literal

from pipemon.generate.drift.quantiles import bridge_area, chi_squared, kolmogorov, normal
from pipemon.generate.promql import Binary, Call, Expr, Matcher, Recorded
from pipemon.generate.recordings import Recording
from pipemon.spec.baseline import FeatureBaseline
from pipemon.spec.distribution import CORE, widths
from pipemon.spec.model import Spec
from pipemon.spec.signals import Statistic
from pipemon.units import le

LEAST = 50
"""Independent observations, live and in the baseline, from which on the formulas hold; fewer are unknown."""
ALPHA = 0.01
"""How often a stage without drift may show some, over all its watched features, in a window of LOOK hours."""
LOOK = 6
"""Hours whose share of false alarms all the shorter windows in them have: as long as what is gradual looks back."""
EXPECTED = 5.0
"""Independent observations that the baseline must expect in each bin that counts for chi-squared."""
CORES = 0.8
"""The core's share of the false alarms. Counts of what is rare are coarse: a smaller share hardly costs them power."""
PLACE = ("pipeline", "stage", "baseline", "direction", "feature")
"""The labels of a baseline's constants; `baseline` is the version that it was made of."""
BASELINE = "pipemon:baseline:"
"""What the names of all constants begin with."""
ANY = "any"
"""The `baseline` of one that was made of no version in particular."""

Part = Literal["core", "low", "high", "rare"]


@dataclass(frozen=True)
class Reference:
    """A feature's baseline, and who is compared with it.

    `version` is whose baseline it is, "" for all that have none of their own, which `others` have. `alpha` is
    the feature's share of the false alarms. `ranks` are how many times that it may have where as many features of its
    stage have moved so far (Benjamini and Hochberg 1995); none where it always has that alone. `shorter` is the window,
    such as 15m, where it is of less than LOOK hours and has their share with others.
    """

    stage: str
    direction: str
    feature: str
    baseline: FeatureBaseline
    version: str = ""
    others: tuple[str, ...] = ()
    alpha: float = ALPHA
    ranks: tuple[int, ...] = ()
    shorter: str = ""

    @property
    def has_categories(self) -> bool:
        """Whether it is a category rather than a number."""
        return bool(self.baseline.categories)

    @property
    def bins(self) -> tuple[str, ...]:
        """The `bin` label of each bin: its upper bound, or the category."""
        if self.has_categories:
            return tuple(self.baseline.categories)
        return (*map(le, self.baseline.bounds), "+Inf")

    @property
    def shares(self) -> tuple[float, ...]:
        """The baseline's share of each bin."""
        return tuple(self.baseline.categories.values()) if self.has_categories else self.baseline.shares

    def smoothed(self, share: float) -> float:
        """Return a share with half an observation more in each bin, as the live ones have it."""
        count = self.baseline.count
        return (share * count + 0.5) / (count + 0.5 * len(self.shares))

    @property
    def parts(self) -> tuple[Part, ...]:
        """Return what guards each bin: `core` by chi-squared, what is rare at either end or else as a count."""
        rare = [share < CORE for share in self.shares]
        if self.has_categories or all(rare):
            return tuple("rare" if each else "core" for each in rare)
        first, last = rare.index(False), len(rare) - 1 - rare[::-1].index(False)
        ends: dict[bool, Part] = {True: "low", False: "high"}
        return tuple(
            ends[i < first] if not first <= i <= last else "rare" if each else "core" for i, each in enumerate(rare)
        )

    @property
    def guards(self) -> tuple[Part, ...]:
        """The parts that are tested, each at what it is `allowed`; categories never seen before are rare ones."""
        found = dict.fromkeys(self.parts)
        if self.parts.count("core") < 2:
            found.pop("core", None)
        return tuple(dict.fromkeys((*found, "rare"))) if self.has_categories else tuple(found)

    def allowed(self, part: Part) -> float:
        """Return a part's share of `alpha`: CORES for the core, the rest for the others, evenly (Bonferroni)."""
        tested = self.guards
        cores = 0.0 if "core" not in tested else CORES if len(tested) > 1 else 1.0
        return self.alpha * (cores if part == "core" else (1 - cores) / (len(tested) - (cores > 0)))

    @property
    def least(self) -> float:
        """How many live values are needed: enough independent ones in all, and in each bin of the core."""
        core = [share for share, part in zip(self.shares, self.parts, strict=True) if part == "core"]
        return max(LEAST, EXPECTED / min(core, default=1.0)) * self.baseline.design_effect

    def place(self, spec: Spec) -> tuple[tuple[str, str], ...]:
        """Return the labels of its constants."""
        values = (spec.pipeline, self.stage, self.version or ANY, self.direction, self.feature)
        return tuple(zip(PLACE, values, strict=True))


def looks(spec: Spec, window: float) -> float:
    """Return how many windows, in seconds, have a share of false alarms together: as many as LOOK hours have.

    What runs on a schedule looks once a run.
    """
    return 1.0 if spec.schedule is not None else max(1.0, LOOK * spec.timing.long_window / window)


def constant(name: str, value: float, place: tuple[tuple[str, str], ...], **more: str) -> Recording:
    """Return a recording rule whose one series is a number."""
    return Recording(f"{BASELINE}{name}", Call("vector", (value,)), PLACE, static=(*place, *more.items()))


def ratios(spec: Spec, reference: Reference) -> Iterator[Recording]:
    """Yield each bin's smoothed share, with what guards it and, of a number, the bound below it."""
    place, below = reference.place(spec), "-Inf"
    for name, share, part in zip(reference.bins, reference.shares, reference.parts, strict=True):
        edges = {} if reference.has_categories else {"le": name, "below": below}
        yield constant("ratio", reference.smoothed(share), place, bin=name, part=part, **edges)
        below = name
    if reference.has_categories:
        yield constant("unseen_ratio", reference.smoothed(0.0), place)


def cumulative(spec: Spec, reference: Reference) -> Iterator[Recording]:
    """Yield the cumulative shares at the bounds, and how far the middles of the bins beside each are apart."""
    place, bounds = reference.place(spec), reference.baseline.bounds
    for bound, share in zip(bounds, accumulate(reference.shares), strict=False):
        yield constant("cdf", min(1.0, share), place, le=le(bound))
    for bound, width in zip(bounds, widths(reference.baseline), strict=True):
        yield constant("width", width, place, le=le(bound))


def guards(spec: Spec, reference: Reference) -> Iterator[Recording]:
    """Yield what tells drift from chance: observations, design effect, quantiles, and counts of what is rare.

    A count is of independent observations, and one more: that is the exact binomial test's.
    """
    place, base = reference.place(spec), reference.baseline
    yield constant("observations", base.count, place)
    yield constant("design_effect", base.design_effect, place)
    yield constant("least_observations", reference.least, place)
    tested = reference.guards
    if not tested:
        return
    parts = reference.parts
    if (quantile := quantile_of_core(reference)) is not None:
        yield constant(f"quantile{reference.shorter}", quantile, place, of="chi_squared")
    rare = [part for part in tested if part != "core"]
    if quantile is not None:
        yield from _steps(spec, reference, "chi_squared", lambda each: quantile_of_core(each) or quantile)
    if rare:
        yield constant(f"quantile{reference.shorter}", normal(reference.allowed(rare[0])), place, of="normal")
        yield from _steps(spec, reference, "normal", lambda each: normal(each.allowed(rare[0])))
    for part in rare:
        share = sum(s for s, p in zip(reference.shares, parts, strict=True) if p == part)
        yield constant("rare_count", share * base.count / base.design_effect + 1, place, part=part)


def _steps(spec: Spec, reference: Reference, of: str, quantile: Callable[[Reference], float]) -> Iterator[Recording]:
    """Yield by how much less is evidence at each rank: a quantile over that of so many times `alpha`."""
    for rank in reference.ranks:
        times = quantile(reference) / quantile(replace(reference, alpha=rank * reference.alpha))
        yield constant(f"rank_ratio{reference.shorter}", times, reference.place(spec), of=of, rank=str(rank))


def quantile_of_core(reference: Reference) -> float | None:
    """Return the chi-squared quantile of the core, None where there is none that is tested."""
    if "core" not in reference.guards:
        return None
    parts = reference.parts
    core = parts.count("core")
    # The core's shares add up to nearly 1 and lose a degree of freedom by it, unless much lies elsewhere.
    inside = sum(share for share, part in zip(reference.shares, parts, strict=True) if part == "core")
    degrees = core - 1 if inside > 0.95 else core
    return chi_squared(reference.allowed("core"), degrees)


def quantile_of_bounds(reference: Reference, statistic: Statistic) -> float:
    """Return the quantile of `ks` or `wasserstein`."""
    if statistic == "ks":
        return kolmogorov(reference.alpha)
    below = [min(1.0, share) for share in accumulate(reference.shares[:-1])]
    return bridge_area(reference.alpha, below, widths(reference.baseline))


def whole(spec: Spec, reference: Reference) -> Iterator[Recording]:
    """Yield the quantiles of statistics of the whole cumulative distribution, and its design effect.

    A baseline within one bin, as that of a constant is, leaves nothing to chance: `wasserstein` has no quantile then.
    """
    place = reference.place(spec)
    yield effect_on_sums(spec, reference)
    names: tuple[tuple[Statistic, str], ...] = (("ks", "kolmogorov"), ("wasserstein", "bridge_area"))
    for statistic, of in names:
        if not (quantile := quantile_of_bounds(reference, statistic)):
            continue
        yield constant(f"quantile{reference.shorter}", quantile, place, of=of)
        yield from _steps(spec, reference, of, partial(quantile_of_bounds, statistic=statistic))


def effect_on_sums(spec: Spec, reference: Reference) -> Recording:
    """Return the design effect of cumulative shares, and of the mean."""
    return constant("cumulative_design_effect", reference.baseline.effect_on_sums, reference.place(spec))


def read(name: str, *more: str, **which: str) -> Recorded:
    """Return a kind of constant as rules read it: one series for each place and value of the labels `more`."""
    matchers = tuple(Matcher(label, "=", value) for label, value in which.items())
    return Recorded(f"{BASELINE}{name}", (*PLACE, *more), matchers)


def ratios_of_numbers() -> Recorded:
    """Return the shares of bins that have bounds, by `le`: those of categories, several to a place, have none."""
    return Recorded(f"{BASELINE}ratio", (*PLACE, "le"), (Matcher("le", "!=", ""),))


def beside(op: str, live: Expr, said: Expr, *more: str) -> Binary:
    """Return `live op said`, each live series with the constant of its place and of the labels `more`."""
    return Binary(op, live, said, on=(*PLACE, *more), group_left=True)
