"""From what was seen of features to their baseline."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipemon.baseline import bins, design_effect, same_hours
from pipemon.baseline.seen import Seen
from pipemon.catalogue import OTHER
from pipemon.spec.baseline import Baseline, FeatureBaseline, feature_key
from pipemon.topology import FeatureShape, PipelineShape

QUANTILES = {"p1": 0.01, "p5": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95, "p99": 0.99}


def baseline_of(
    shape: PipelineShape,
    seen: Mapping[str, Seen],
    *,
    version: str | None = None,
    source: str = "",
    rows: int = 0,
    period: tuple[float, float] = (0.0, 0.0),
) -> Baseline:
    """Return the baseline of a pipeline's features, of those that had a value at all.

    `seen` is by `<stage>.<direction>.<feature>`. The version is that of the code, or the given one for all stages.
    """
    shapes = features_of(shape)
    found = {name: feature_baseline(shapes[name], each) for name, each in seen.items() if len(each.values)}
    apart = {stage.name: stage.version for stage in shape.stages if stage.version not in ("", shape.version)}
    return Baseline(
        shape.name,
        *period,
        found,
        version=shape.version if version is None else version,
        source=source,
        rows=rows,
        data_hash=data_hash(seen),
        stage_versions=apart if version is None else {},
    )


def features_of(shape: PipelineShape) -> dict[str, FeatureShape]:
    """Return a pipeline's features by `<stage>.<direction>.<feature>`."""
    return {
        feature_key(stage.name, feature.direction, feature.name): feature
        for stage in shape.stages
        for feature in stage.features
    }


def feature_baseline(shape: FeatureShape, seen: Seen) -> FeatureBaseline:
    """Return the baseline of a feature with at least one value: bins of its own, unless its code has bounds."""
    missing = rounded(seen.missing / (seen.missing + len(seen.values)))
    if shape.categories:
        names = (*shape.categories, OTHER)
        places = seen.values.astype(np.intp)
        counts = np.bincount(places, minlength=len(names))
        first = seen.first.astype(np.intp)
        effect = design_effect.of_values(first, len(names))
        return FeatureBaseline(
            0.0,
            0.0,
            len(places),
            missing=missing,
            design_effect=round(effect, 3),
            categories=dict(zip(names, rounded_shares(counts / len(places)), strict=True)),
            seasonal_design_effects=_seasonal(seen, first, len(names)),
        )
    bounds = shape.bounds if shape.own_bounds else bins.cut(seen.values)
    places, size = np.searchsorted(np.asarray(bounds), seen.first), len(bounds) + 1
    effect = design_effect.of_values(places, size)
    of_sums = design_effect.of_values(places, size, design_effect.of_cumulative)
    of_spread = design_effect.of_values(places, size, design_effect.of_spread)
    quantiles = np.quantile(seen.values, list(QUANTILES.values()))
    # Of what lies beside the median: a value that never varies has no spread, not that of rounding.
    middle = float(np.median(seen.values))
    beside = seen.values - middle
    mean, sd = middle + float(beside.mean()), float(beside.std())
    return FeatureBaseline(
        rounded_mean(mean, sd),
        rounded(sd),
        len(seen.values),
        shape.unit,
        bounds,
        rounded_shares(bins.shares(seen.values, bounds)),
        missing,
        round(effect, 3),
        {name: rounded_mean(each, sd) for name, each in zip(QUANTILES, quantiles.tolist(), strict=True)},
        cumulative_design_effect=round(of_sums, 3),
        spread_design_effect=round(of_spread, 3),
        seasonal_design_effects=_seasonal(seen, places, size),
    )


def _seasonal(seen: Seen, bins: NDArray[np.intp], size: int) -> dict[str, float]:
    return {} if seen.times is None else same_hours.of_values(bins, size, seen.times)


def data_hash(seen: Mapping[str, Seen]) -> str:
    """Return 16 hex digits that are equal for equal data: SHA-256 of all values, feature by feature."""
    found = hashlib.sha256()
    for name, each in sorted(seen.items()):
        found.update(f"{name} {len(each.values)} {each.missing}\n".encode())
        found.update(each.values.astype("<f8").tobytes())
    return found.hexdigest()[:16]


def rounded(value: float) -> float:
    """Return a number as it is written: six digits."""
    return float(format(value, ".6g"))


def rounded_mean(mean: float, sd: float) -> float:
    """Return a mean as it is written: six digits, and more where only these tell it to a thousandth of the spread.

    What is far from 0 beside its spread, as air pressure or a time is, has its spread in the last digits.
    """
    if not mean or not sd:
        return mean
    return round(mean, max(5 - math.floor(math.log10(abs(mean))), 3 - math.floor(math.log10(sd))))


def rounded_shares(shares: Iterable[float] | Sequence[float]) -> tuple[float, ...]:
    """Return shares as they are written."""
    return tuple(map(rounded, shares))
