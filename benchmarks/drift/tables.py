"""Tables of the benchmark, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A title, what it is about, column heads and rows of cells."""

    title: str
    about: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def text(self) -> str:
        """Return it as Markdown."""
        lines = [self.head, ["---"] * len(self.head), *self.rows]
        return f"## {self.title}\n\n{self.about}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def percent(share: float) -> str:
    """Print a share."""
    return f"{100 * share:.2f}%"
