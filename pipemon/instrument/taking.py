"""Taking features from values: written into a stand-in's source, one by one, or from a whole batch."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable
from random import random
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from pipemon.instrument.batches import is_lazy, items
from pipemon.instrument.features import Category, Feature
from pipemon.instrument.recorder import Rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BITS = 0x7FF8_7069_7065_6D6F
UNTAKEN: float = struct.unpack("<d", struct.pack("<Q", _BITS))[0]
"""A NaN of our own for what was not looked at: it is neither a value nor missing."""


class Taken(NamedTuple):
    """A feature as a stage takes it: of which side, under which name, of inputs from which parameter."""

    direction: Literal["input", "output"]
    name: str
    feature: Feature
    parameter: str = ""

    @property
    def always(self) -> bool:
        """Tell whether every call is looked at."""
        return self.feature.sample >= 1


Failed = Callable[[str, str], None]
"""Told of an extractor that raised, while the exception is handled: direction and feature."""


def untaken(column: Rows) -> int:
    """Count what was not looked at in a column, shape (n,)."""
    return int(np.count_nonzero(_is_untaken(column)))


def looked_at(column: Rows) -> Rows:
    """Return what was looked at of a column, shape (n,); NaN is missing."""
    return column[~_is_untaken(column)]


def _is_untaken(column: Rows) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = np.ascontiguousarray(column).view(np.uint64) == _BITS
    return found


def number(value: Any) -> float:
    """Return an extractor's value as a float, NaN for whatever is no number."""
    if value is None or isinstance(value, str | bytes) or getattr(value, "ndim", None):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def take(taken: Taken, value: Any, failed: Failed) -> float:
    """Take a feature from one value: NaN is missing, UNTAKEN not looked at."""
    if taken.feature.sample < 1 and random() >= taken.feature.sample:
        return UNTAKEN
    if value is None:
        return math.nan if taken.direction == "input" else UNTAKEN
    return _look(taken, value, failed)


def _look(taken: Taken, value: Any, failed: Failed) -> float:
    feature = taken.feature
    try:
        found = feature.extractor(value)
        return feature.index(found) if isinstance(feature, Category) else number(found)
    except Exception:  # noqa: BLE001
        failed(taken.direction, taken.name)
        return UNTAKEN


def take_many(taken: Taken, batch: Any, failed: Failed) -> Rows | None:
    """Take a feature from each item of a batch, shape (n,); None if the batch was not looked at.

    One that can be read only once, such as an iterator, is not.
    """
    feature = taken.feature
    if batch is None or is_lazy(batch) or (feature.sample < 1 and random() >= feature.sample):
        return None
    try:
        if feature.many is not None:
            found = feature.many(batch)
            return feature.index_many(found) if isinstance(feature, Category) else _numbers(found)
    except Exception:  # noqa: BLE001
        failed(taken.direction, taken.name)
    try:  # without `many`, or where one item is bad, one by one
        absent = math.nan if taken.direction == "input" else UNTAKEN
        each = [absent if item is None else _look(taken, item, failed) for item in items(batch)]
        return np.array(each, np.float64)
    except Exception:  # noqa: BLE001
        failed(taken.direction, taken.name)
        return None


def _numbers(found: Iterable[Any]) -> Rows:
    if isinstance(found, np.ndarray) and found.ndim == 1 and found.dtype.kind in "biuf":
        return found.astype(np.float64)  # a copy: nothing of the user's stays referred to
    return np.array([number(each) for each in found], dtype=np.float64)


def text(taken: Taken, index: int, source: str) -> str:
    """Return the lines that set `pm_value_<index>` from the expression `source`."""
    value, feature = f"pm_value_{index}", taken.feature
    absent = "pm_nan" if taken.direction == "input" else "pm_untaken"
    read = source if source.isidentifier() else "pm_value"
    lines = [] if read == source else [f"pm_value = {source}"]
    lines += [f"if {read} is None:", f"    {value} = {absent}", "else:", "    try:"]
    if isinstance(feature, Category):
        lines += [f"        {value} = pm_index_{index}(pm_extract_{index}({read}))"]
    else:
        extracted = f"pm_extract_{index}({read})" if feature.inline is None else feature.inline.format(value=read)
        lines += [
            f"        {value} = {extracted}",
            f"        if {value}.__class__ is not pm_float:",
            f"            {value} = pm_number({value})",
        ]
        if extracted.startswith(("pm_len(", "pm_float(")):  # a number in any case
            del lines[-2:]
    lines += [
        "    except pm_Exception:",
        f"        {value} = pm_untaken",
        f'        pm_extractor_failed("{taken.direction}", "{taken.name}")',
    ]
    if not taken.always:
        lines = [f"if pm_random() >= {feature.sample!r}:", f"    {value} = pm_untaken", "else:"] + [
            f"    {line}" for line in lines
        ]
    return "\n".join(lines) + "\n"


def names(features: Iterable[Taken]) -> dict[str, object]:
    """Return what the lines of `text` refer to, for features numbered as given."""
    found: dict[str, object] = {"pm_nan": math.nan, "pm_untaken": UNTAKEN, "pm_number": number, "pm_random": random}
    for index, taken in enumerate(features):
        found[f"pm_extract_{index}"] = taken.feature.extractor
        if isinstance(taken.feature, Category):
            found[f"pm_index_{index}"] = taken.feature.index
    return found
