"""A baseline, and what moved between two, as people read them in a terminal."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from datetime import UTC, datetime

import numpy as np

from pipemon.baseline.comparison import Moved, compared
from pipemon.baseline.tables import Columns
from pipemon.spec.baseline import Baseline, FeatureBaseline
from pipemon.units import counted, figure

_COARSE = 0.8
_COLUMNS = 40
_HEIGHTS = " ▁▂▃▄▅▆▇█"
_BAR = 30
_NAMED = 12
"""Names in a line at most."""


def shown(baseline: Baseline) -> Iterator[str]:
    """Yield lines: where it comes from, then each feature with its numbers and a histogram."""
    version = f", version {baseline.version}" if baseline.version else ""
    yield f"{baseline.pipeline}{version}: {counted(len(baseline.features), 'feature')}"
    own = ", ".join(f"{stage} {each}" for stage, each in sorted(baseline.stage_versions.items()))
    period = f"{_moment(baseline.start)} to {_moment(baseline.end)}" if baseline.end else ""
    rows = f"{baseline.rows:,}" if baseline.rows else ""
    for what, value in (
        ("versions of their own", own), ("source", baseline.source), ("rows", rows), ("period", period),
        ("data hash", baseline.data_hash),
    ):  # fmt: skip
        if value:
            yield f"  {what}: {value}"
    for name, feature in sorted(baseline.features.items()):
        yield ""
        yield from _feature(name, feature)


def coarse(learned: Baseline) -> Iterator[str]:
    """Yield a line for each feature whose bins say little: four fifths of its values or more are within one.

    Tails are no such bins, nor are values that have one to themselves, or are all the same as its bound.
    """
    for name, feature in sorted(learned.features.items()):
        share = max(feature.shares[1:-1], default=0.0)
        if share >= _COARSE and not (share > 0.9999 and feature.mean in feature.bounds):
            yield (
                f"  {name}: one bin has {share:.0%} of the values, so its spread is a guess, and drift sees little; "
                "give the feature a unit or bounds, or learn from data"
            )


def left_out(columns: Columns, unlearned: Collection[str]) -> Iterator[str]:
    """Yield a line for each kind of feature of which nothing was learned, then one for columns that are none."""
    for column, which in columns.unclear.items():
        yield f"  column {column!r} could be {' or '.join(which)}: say which, as --column {column}={which[0]}"
    several = {key for which in columns.unclear.values() for key in which}
    for what, names in (
        ("without a value", [key for key in unlearned if key in columns.of]),
        ("without a column", [key for key in unlearned if key not in columns.of and key not in several]),
        ("columns of no feature", columns.ignored),
    ):
        if names:
            more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
            yield f"  {what}: {', '.join(names[:_NAMED])}{more}"


def differences(old: Baseline, new: Baseline) -> Iterator[str]:
    """Yield a line for each feature that moved beyond chance, came or went; then how many did not."""
    moved = compared(old, new)
    far = [each for each in moved if each.beyond_chance]
    yield from map(_moved, far)
    for name in sorted({*new.features} - {*old.features}):
        yield f"{name}: new"
    for name in sorted({*old.features} - {*new.features}):
        yield f"{name}: gone"
    for name in sorted({*old.features} & {*new.features} - {each.name for each in moved}):
        yield f"{name}: cannot be compared, for want of shares; learn both again"
    for each in moved:
        if each.old.unit != each.new.unit:
            yield f"{each.name}: the unit was {each.old.unit or 'none'}, now {each.new.unit or 'none'}"
    still = len(moved) - len(far)
    if still:
        yield f"{still} of {counted(len(moved), 'feature')} moved no farther than chance does one time in a hundred"


def _feature(name: str, feature: FeatureBaseline) -> Iterator[str]:
    unit = f" ({feature.unit})" if feature.unit else ""
    numbers = [f"{feature.count:,.0f} values"]
    if not feature.categories:
        numbers[:0] = [f"mean {_place(feature.mean, feature.sd)}", f"sd {figure(feature.sd)}"]
    if feature.missing:
        numbers.append(f"{feature.missing:.2%} missing")
    if feature.effect_on_spread > 1:
        sums = (
            f", of sums {figure(feature.effect_on_sums, 3)}" if feature.effect_on_sums > feature.design_effect else ""
        )
        wild = (
            f", of the spread {figure(feature.effect_on_spread, 3)}"
            if feature.effect_on_spread > feature.effect_on_sums
            else ""
        )
        numbers.append(f"design effect {figure(feature.design_effect, 3)}{sums}{wild}{_between_same_hours(feature)}")
    yield f"{name}{unit}: {', '.join(numbers)}"
    if feature.categories:
        width = max(map(len, feature.categories))
        for category, share in feature.categories.items():
            yield f"  {category:<{width}}  {share:7.2%} {'█' * round(_BAR * share)}".rstrip()
    elif feature.shares:
        bounds = feature.bounds
        tails = f"{feature.shares[0]:.2%} below, {feature.shares[-1]:.2%} above"
        bins = f"{len(bounds) + 1} bins {feature.bins}"
        low, high = (_place(bound, feature.sd) for bound in (bounds[0], bounds[-1]))
        yield f"  {low} {histogram(feature)} {high}   {tails}, {bins}"
    elif feature.bounds:
        yield f"  {len(feature.bounds) + 1} bins {feature.bins}, without their shares; learn it again for drift"


def _between_same_hours(feature: FeatureBaseline) -> str:
    told = []
    for rhythm, words in (("daily", "days"), ("weekly", "weeks")):
        if rhythm in feature.seasonal_design_effects:
            single, of_sums = feature.effects_from(rhythm)
            sums = f" (of sums {figure(of_sums, 3)})" if of_sums > single else ""
            told.append(f"of {words} {figure(single, 3)}{sums}")
    return f", between the same hours {', '.join(told)}" if told else ""


def histogram(feature: FeatureBaseline) -> str:
    """Return how dense values lie from the first bound to the last, in columns of even width."""
    bounds = np.array(feature.bounds)
    if len(bounds) < 2:
        return _HEIGHTS[-1]
    below = np.cumsum(feature.shares)[:-1]
    dense = np.diff(np.interp(np.linspace(bounds[0], bounds[-1], _COLUMNS + 1), bounds, below))
    top = dense.max() or 1.0
    return "".join(_HEIGHTS[int(np.ceil(8 * share / top))] for share in dense)


def _moved(moved: Moved) -> str:
    old, new = moved.old, moved.new
    about = "about " if moved.rebinned else ""
    told = f"{moved.name}: PSI {about}{figure(moved.psi, 3)}, where chance stays below {moved.chance:.2g}"
    if old.categories:
        shares = [(name, old.categories.get(name, 0.0), share) for name, share in new.categories.items()]
        name, before, after = max(shares, key=lambda each: abs(each[2] - each[1]))
        told += f"; {name} {before:.1%} to {after:.1%}"
    else:
        means = " to ".join(_place(each.mean, min(old.sd, new.sd)) for each in (old, new))
        told += f"; mean {means}, sd {figure(old.sd)} to {figure(new.sd)}"
    if moved.missing_beyond_chance:
        told += f"; missing {old.missing:.2%} to {new.missing:.2%}"
    return told


def _place(value: float, sd: float) -> str:
    """Return a number with four digits, and as many more as tell it to a hundredth of the spread."""
    digits = 4
    if value and sd:
        digits = max(digits, math.floor(math.log10(abs(value))) - math.floor(math.log10(sd)) + 3)
    return figure(value, min(digits, 17))


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
