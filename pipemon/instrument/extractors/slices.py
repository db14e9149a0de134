"""A feature kept apart by groups of calls, so that each group has a distribution and a baseline of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from pipemon.errors import DeclarationError
from pipemon.instrument.batches import items
from pipemon.instrument.features import Category, Feature
from pipemon.instrument.names import check_text
from pipemon.instrument.taking import UNTAKEN, number
from pipemon.instrument.wrapping import is_async

MOST_MEMBERS = 10
"""Each has all the series of a feature: a dozen buckets for every version, track and replica."""


def by(feature: Feature, members: Sequence[str], of: Callable[[Any], object]) -> tuple[Feature, ...]:
    """A feature for each member of a group, `level_dbfs_phone` and `level_dbfs_desk` of `level_dbfs`: in its unit.

    `of` gets what the feature is taken from and returns the member that it belongs to; each feature looks at its own
    calls only. Others are not looked at: they are neither observed nor missing. What belongs to none of the `members`
    is in none of the features. So each has a baseline, drift and an alert of its own, and a small group's change is
    not lost in what all do. Keep the feature itself beside them for all calls.

    Costs a call of `of` for each member, at most 10. Raises DeclarationError for more of them, for one that can't be
    in a name or is there twice, and for an `of` that can't be called or is async.
    """
    if isinstance(members, str) or not isinstance(members, Sequence) or not members:
        raise DeclarationError(f"feature {feature.name!r}: by: list the members, such as ['phone', 'desk']")
    if len(members) > MOST_MEMBERS:
        raise DeclarationError(f"feature {feature.name!r}: by: {len(members)} members; at most {MOST_MEMBERS}")
    if len(set(members)) < len(members):
        raise DeclarationError(f"feature {feature.name!r}: by: a member is there twice")
    if not callable(of) or is_async(of):
        raise DeclarationError(f"feature {feature.name!r}: by: of must be a function and not async, not {of!r}")
    return tuple(_of_member(feature, member, of) for member in members)


def _of_member(feature: Feature, member: str, of: Callable[[Any], object]) -> Feature:
    name = f"{feature.name}_{check_text(f'feature {feature.name!r}: by: member', member)}"
    many = None
    if feature.many is not None and not isinstance(feature, Category):
        many = partial(_take_many, feature.many, member, of)
    return replace(feature, name=name, extractor=partial(_take, feature.extractor, member, of), many=many, inline=None)


def _take(extractor: Callable[[Any], object], member: str, of: Callable[[Any], object], value: Any) -> object:
    return extractor(value) if of(value) == member else UNTAKEN


def _take_many(many: Callable[[Any], Any], member: str, of: Callable[[Any], object], batch: Any) -> Any:
    mine = np.array([of(item) == member for item in items(batch)], dtype=bool)
    values = np.array([number(each) for each in many(batch)], dtype=np.float64)
    return np.where(mine, values, UNTAKEN)
