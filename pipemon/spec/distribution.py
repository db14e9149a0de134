"""The bins in which a feature's values are counted, where they are known before anything runs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from pipemon.spec.baseline import FeatureBaseline, feature_key
from pipemon.spec.model import Spec
from pipemon.topology import FeatureShape
from pipemon.units import fingerprint, le

CORE = 0.01
"""The least share of a bin that counts for chi-squared; rarer ones are counted by themselves."""


@dataclass(frozen=True)
class Bins:
    """Upper bounds without +Inf; none of a category, whose bins are its values."""

    bounds: tuple[float, ...]

    @property
    def hash(self) -> str:
        """The label `bins` of what is running, "" for a category."""
        return fingerprint(self.bounds) if self.bounds else ""

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Each bin's upper bound and the bound below it, as labels."""
        return tuple((high, low) for low, high in pairwise(("-Inf", *map(le, self.bounds), "+Inf")))


def bins_of(spec: Spec, stage: str, feature: FeatureShape) -> Bins:
    """Return the bins of a feature: its baseline's, which a service takes, or else those that the code gives."""
    name = feature_key(stage, feature.direction, feature.name)
    return known_bins(feature, next((b.features[name] for b in spec.baselines if name in b.features), None))


def known_bins(feature: FeatureShape, learned: FeatureBaseline | None) -> Bins:
    """Return the bins of a feature with what was `learned` of it, if anything; no bounds where nobody knows them."""
    if feature.categories:
        return Bins(())
    if learned is not None and learned.bounds and not feature.own_bounds:
        return Bins(learned.bounds)
    return Bins(feature.bounds)


def widths(base: FeatureBaseline) -> list[float]:
    """Return for each bound how far the middles of the bins beside it are apart, in standard deviations.

    What lies beyond the first and the last bound is taken to be there.
    """
    bounds = base.bounds
    middles = [*bounds[:1], *((low + high) / 2 for low, high in pairwise(bounds)), *bounds[-1:]]
    return [(high - low) / base.sd if base.sd else 0.0 for low, high in pairwise(middles)]
