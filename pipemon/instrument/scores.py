"""Scores of a stage's outputs, which are told later: how they are declared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipemon.errors import DeclarationError
from pipemon.instrument.bounds import checked, for_unit
from pipemon.instrument.names import check_name, check_text
from pipemon.topology import ScoreShape
from pipemon.units import check_unit

MOST_SCORES = 20


@dataclass(frozen=True)
class Score:
    """A number that says how good a stage's output was, told later: a word error rate, an accuracy, a rating.

    `bounds` are the histogram's upper bounds; by default they come from `unit`, as a Feature's do. A rate or share
    has the unit `ratio`, the default, whose bounds go from 0 to 1.

    Raises DeclarationError for a bad name, a scaled unit (`percent`), or bounds that do not rise.
    """

    name: str
    unit: str = "ratio"
    bounds: Sequence[float] | None = None

    def __post_init__(self) -> None:
        check_name("score", self.name)
        check_text(f"score {self.name!r}: unit", self.unit)
        try:
            check_unit(self.unit)
            if self.bounds is not None:
                object.__setattr__(self, "bounds", checked(self.bounds))
        except ValueError as error:  # DeclarationError is one
            raise DeclarationError(f"score {self.name!r}: {error}") from None

    @property
    def shape(self) -> ScoreShape:
        """The score as the generator sees it."""
        return ScoreShape(self.name, self.unit, tuple(self.bounds or for_unit(self.unit)))


def score_shapes(what: str, given: str | Score | Sequence[str | Score]) -> tuple[ScoreShape, ...]:
    """Return scores as they are declared: each a Score, or the name of a ratio. At most 20, each name once."""
    several = given if isinstance(given, list | tuple) else [given]
    shapes = []
    for one in several:
        if not isinstance(one, str | Score):
            raise DeclarationError(f"{what}: a score is a name or pipemon.Score('wer', unit='ratio'), not {one!r}")
        shapes.append((Score(one) if isinstance(one, str) else one).shape)
    names = [shape.name for shape in shapes]
    for name in names:
        if names.count(name) > 1:
            raise DeclarationError(f"{what}: two scores are called {name!r}")
    if len(names) > MOST_SCORES:
        raise DeclarationError(f"{what}: {len(names)} scores; at most {MOST_SCORES}")
    return tuple(shapes)
