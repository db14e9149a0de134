"""The line that a problem stands in, with a caret under the value."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipemon.errors import Problem, SpecError
from pipemon.spec.syntax import lines_of, scalar_ends, text_of

_WIDEST = 120
_WORD = re.compile(r"""'(?:[^']|'')*'|"(?:[^"\\]|\\.)*"|[^\s,\[\]{}:#'"]+(?::(?=[^\s])[^\s,\[\]{}#]*)*|.""")


def told(problems: Iterable[Problem]) -> Iterator[str]:
    """Yield each problem, then its source line and a caret under the value, where the file can still be read."""
    files: dict[str, tuple[list[str], dict[tuple[int, int], tuple[int, int]]]] = {}
    for problem in problems:
        yield str(problem)
        if problem.file not in files:
            text = _text(Path(problem.file))
            files[problem.file] = lines_of(text), scalar_ends(text)
        lines, ends = files[problem.file]
        if 0 < problem.line <= len(lines):
            line = lines[problem.line - 1]
            last, end = ends.get((problem.line, problem.column), (problem.line, None))
            # What goes on in the next line is underlined to the end of this one.
            yield from excerpt(line, problem.column, end if last == problem.line else len(line.rstrip()) + 1)


def excerpt(line: str, column: int, end: int | None = None) -> tuple[str, ...]:
    """Return a source line, two spaces in, and `^~~~` from `column` to before `end`; () for an empty line.

    Columns count from 1; without an end it is that of the word at `column`. The caret stands where a terminal shows
    it: wide characters count as two columns, combining ones as none, tabs stay tabs. What can't be printed is shown
    as U+FFFD, and a long line is cut around the word.
    """
    if not line.strip():
        return ()
    at = min(column - 1, len(line))
    found = _WORD.match(line, at)
    until = max(end - 1 if end else found.end() if found else at, at + 1)
    first = max(0, min(at - _WIDEST // 2, len(line) - _WIDEST))
    last = first + _WIDEST
    shown = "".join(map(_printable, line[first:last])).rstrip()
    dots, more = ("..." if first else ""), ("..." if len(line.rstrip()) > last else "")
    before = "".join("\t" if c == "\t" else " " * _width(c) for c in line[first:at])
    under = sum(map(_width, line[at : min(until, last)]))
    return f"  {dots}{shown}{more}", f"  {' ' * len(dots)}{before}^{'~' * (under - 1)}"


def _text(path: Path) -> str:
    try:
        # The mark of byte order has no column of its own.
        return text_of(path).replace("\ufeff", "")
    except SpecError:
        return ""


def _printable(character: str) -> str:
    return character if character.isprintable() or character == "\t" else "\ufffd"


def _width(character: str) -> int:
    """Return how many columns of a terminal a character takes (Unicode's annex 11)."""
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
