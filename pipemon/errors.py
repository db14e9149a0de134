"""What pipemon raises, each with the exit code that its commands end with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

_LONGEST_WORD = 60


class PipemonError(Exception):
    """Base of everything that pipemon raises on purpose."""

    exit_code = 1


class DeclarationError(PipemonError, ValueError):
    """A pipeline, stage or feature was declared wrongly. Raised at decoration, never during a call."""

    exit_code = 2


class OptionError(PipemonError, ValueError):
    """What a command was asked for does not fit together."""

    exit_code = 2


class UnavailableError(PipemonError):
    """A server or program that a command needs can't be reached or had: it found nothing, neither good nor bad."""

    exit_code = 2


class Problem(NamedTuple):
    """One thing wrong in a file that a person wrote.

    `line` and `column` count from 1; `rule` is a stable id such as `unknown-key`.
    """

    file: str
    line: int
    column: int
    message: str
    rule: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message} [{self.rule}]"


class SpecError(PipemonError):
    """A file that a person wrote can't be used; `problems` has every reason, in the file's order."""

    exit_code = 2

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)))


def nearest(word: str, valid: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" for the valid name nearest to `word`, or an empty string.

    Case doesn't count. Nothing is near to a word of more than 60 characters.
    """
    word = str(word).lower()
    if len(word) > _LONGEST_WORD:
        return ""
    from difflib import get_close_matches  # noqa: PLC0415  seldom needed, and slow to import

    names = {name.lower(): name for name in valid}
    found = get_close_matches(word, names, n=1)
    return f"; did you mean {names[found[0]]!r}?" if found else ""
