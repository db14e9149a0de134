"""Tables of the benchmark, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


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


@dataclass(frozen=True)
class Page:
    """A file of tables, each in the section of its part, in the order of the parts."""

    title: str
    command: str
    parts: Sequence[str]

    def write(self, path: Path, part: str, table: Table) -> None:
        """Put a part's table into the file, in place of the one that it has."""
        text = path.read_text() if path.exists() else ""
        sections = {one.partition("-->")[0].strip(): one for one in text.split("<!-- ")[1:]}
        sections[part] = f"{part} -->\n{table.text()}\nBy `{self.command} {part}`, seeded.\n\n"
        body = "".join(f"<!-- {sections[each]}" for each in self.parts if each in sections)
        path.write_text(f"# {self.title}\n\n{body.rstrip()}\n")


def percent(share: float) -> str:
    """Print a share."""
    return f"{100 * share:.2f}%"
