"""What a stage's inputs and outputs are described by: a named number, or a named category."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np

from pipemon.catalogue import OTHER
from pipemon.errors import DeclarationError
from pipemon.instrument.bounds import checked
from pipemon.instrument.names import check_name, check_text
from pipemon.instrument.wrapping import is_async
from pipemon.units import check_unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_CATEGORIES = 50
"""Each category is a series for every version, track and replica."""


@dataclass(frozen=True)
class Feature:
    """A named number taken from a stage's input or output.

    `extractor` gets the value and returns a number; None, NaN, infinity and whatever is no number count as
    missing. It runs after the stage's clock has stopped, but the caller waits for it; if it raises, that is
    counted and the pipeline goes on. With `prefix` an input is exported as `<parameter>_<name>`.

    `bounds` are the histogram's upper bounds; by default they come from the baseline, else from `unit`. Seconds, ratio
    (0 to 1), dB, dBFS, bytes, tokens, pixels, levels^2 (of grey) and norm have bounds of their own, "" has a wide range
    of both signs. Any other unit is taken as a count of such things.

    `sample` is the share of calls that are looked at, above 0 and at most 1: lower it where the extractor is
    expensive; the observed counter says how many were. `many` takes a whole batch (items on axis 0, or a list of
    them) and returns as many numbers, NaN for missing ones; without it `extractor` is called for each item.

    Raises DeclarationError for a bad name, a scaled unit (`ms`, `percent`), bounds that do not rise, a sample
    outside of its range, or an extractor that can't be called or is async.
    """

    name: str
    extractor: Callable[[Any], object]
    unit: str = ""
    bounds: Sequence[float] | None = None
    prefix: bool = False
    sample: float = 1.0
    many: Callable[[Any], Any] | None = None
    # Of ready-made ones: an expression of {value}, pm_len and pm_float that stands for a call of `extractor`.
    inline: str | None = field(default=None, repr=False, compare=False, kw_only=True)

    def __post_init__(self) -> None:
        check_name("feature", self.name)
        self._check_function("extractor", self.extractor)
        if self.many is not None:
            self._check_function("many", self.many)
        check_text(f"feature {self.name!r}: unit", self.unit)
        try:
            check_unit(self.unit)
        except ValueError as error:
            raise DeclarationError(f"feature {self.name!r}: {error}") from None
        sample = self.sample
        if isinstance(sample, bool) or not isinstance(sample, int | float) or not 0 < sample <= 1:
            raise DeclarationError(
                f"feature {self.name!r}: sample is a share of calls, above 0 and at most 1, not {sample!r}"
            )
        if self.bounds is not None:
            try:
                object.__setattr__(self, "bounds", checked(self.bounds))
            except DeclarationError as error:
                raise DeclarationError(f"feature {self.name!r}: {error}") from None

    def _check_function(self, which: str, function: object) -> None:
        if not callable(function):
            raise DeclarationError(f"feature {self.name!r}: its {which} can't be called: {function!r}")
        if is_async(function):
            raise DeclarationError(f"feature {self.name!r}: its {which} must not be async")


@dataclass(frozen=True)
class Category(Feature):
    """A named category taken from a stage's input or output: one of a declared set of at most 50 texts.

    `extractor` returns the category: a text, or what prints as one (a bool, an integer, a numpy scalar; of an
    enum its value will do). A value that is not among `categories` counts as `other`; None, NaN and "" count as
    missing. A category has neither unit nor bounds.

    Raises DeclarationError as Feature does, and unless `categories` are 1 to 50 different texts, `other` not
    among them.
    """

    categories: tuple[str, ...] = ()
    _positions: dict[str, float] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.unit or self.bounds is not None:
            raise DeclarationError(
                f"feature {self.name!r}: a category has neither unit nor bounds; its categories are categories=[...]"
            )
        super().__post_init__()
        try:
            categories = _categories(self.categories)
        except DeclarationError as error:
            raise DeclarationError(f"feature {self.name!r}: {error}") from None
        object.__setattr__(self, "categories", categories)
        object.__setattr__(self, "_positions", {name: float(index) for index, name in enumerate(categories)})

    def index(self, value: Any) -> float:
        """Return the value's place in `categories`, their number for any other value, NaN for a missing one."""
        try:
            if getattr(value, "ndim", None) == 0:  # numpy's and torch's scalars
                value = value.item()
            if value is None or value == "":
                return math.nan
            if value != value:  # noqa: PLR0124  only NaN does not equal itself; there is one for what is not looked at
                return value if isinstance(value, float) else math.nan
            return self._position(value)
        except TypeError:  # pandas.NA is neither true nor false
            return math.nan
        except Exception:  # noqa: BLE001  an array, or what can't be compared or printed
            return float(len(self.categories))

    def index_many(self, values: Iterable[Any]) -> NDArray[np.float64]:
        """Return `index` of each value, shape (n,)."""
        if isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype.kind in "biuU":
            items = values.tolist()
            places = {value: self.index(value) for value in set(items)}
            return np.array([places[value] for value in items], dtype=float)
        return np.array([self.index(value) for value in values], dtype=float)

    def _position(self, value: Any) -> float:
        other = float(len(self.categories))
        found = self._positions.get(value if isinstance(value, str) else str(value))
        if found is None and isinstance(value, Enum):
            found = self._positions.get(str(value.value))
        return other if found is None else found


def _categories(given: Any) -> tuple[str, ...]:
    """Return the categories of a declaration, each a text."""
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise DeclarationError(f"categories must be a list of texts, not {given!r}")
    categories = tuple(given)
    if not 1 <= len(categories) <= MOST_CATEGORIES:
        raise DeclarationError(f"categories must be 1 to {MOST_CATEGORIES} texts, not {len(categories)}")
    for category in categories:
        if not check_text("category", category) or category != category.strip():
            raise DeclarationError(f"category {category!r} must not be empty, nor begin or end with white space")
        if category == OTHER:
            raise DeclarationError(f"category {OTHER!r} stands for the values that are not declared; leave it out")
        if categories.count(category) > 1:
            raise DeclarationError(f"category {category!r} is declared twice")
    return tuple(map(str, categories))
