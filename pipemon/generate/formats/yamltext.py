"""YAML as people read it: block style, long expressions as literal blocks, comments, stable bytes.

It is what PyYAML writes of the same values, in a twentieth of its time: rule tests are megabytes.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import yaml

_STEP = "  "
_UNSEEN = r"\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff\U0010ffff"
_SEEN = f"[^ {_UNSEEN}]*"
"""Characters that stand for themselves in any style; blanks and line breaks are looked at apart."""
_INSIDE = f"[^ #:{_UNSEEN}]*"
_PLAIN = re.compile(
    # No indicator at the beginning, no `: ` or ` #` inside, no blank at the end.
    rf"(?!---|\.\.\.)(?:[^ !\"#%&'*,\-:>?@\[\]`{{|}}{_UNSEEN}]|[-?:](?=[^ ]))"
    rf"{_INSIDE}(?:(?::(?=[^ ])|(?<! )#| (?=.)){_INSIDE})*"
)
_ONE_LINE = re.compile(f"{_SEEN}(?: {_SEEN})*")
_LINES = re.compile(rf"(?![ \n]){_SEEN}(?:(?: (?!\n|\Z)|\n(?!\Z)){_SEEN})*")
_OTHER_TYPES = yaml.SafeDumper.yaml_implicit_resolvers
"""By the first character: patterns of what would be read as a number, a time, a truth value or nothing."""


@dataclass(frozen=True)
class Written:
    """Some entries of a list as their text, which is `depth` blanks in: where many lists have the same."""

    text: str
    depth: int


def dump(value: object, depth: int = 0) -> str:
    """Return YAML in block style, in the order given, `depth` blanks in.

    Takes what JSON has: dicts with names as keys, lists and tuples, texts, numbers, truth values and None; and
    entries of a list as `Written`. A value that stands in two places is written twice: rule files take no anchors
    before Prometheus 3.3.
    """
    written: list[str] = []
    _write(value, " " * depth, " " * depth, written.append)
    return "".join(written)


def _write(value: object, lead: str, pad: str, write: Callable[[str], None]) -> None:
    """Write a value behind `lead`, and all of its lines but the first behind `pad`."""
    if isinstance(value, dict) and value:
        inner = pad + _STEP
        for key, each in value.items():
            if isinstance(each, str):
                text = _text(each)
                write(f"{lead}{_text(key)}: {_indented(text, inner) if text[0] == '|' else text}\n")
            elif each and isinstance(each, dict | list | tuple):
                write(f"{lead}{_text(key)}:\n")
                _write(each, inner, inner, write)
            else:
                write(f"{lead}{_text(key)}: {_scalar(each, inner)}\n")
            lead = pad
    elif isinstance(value, list | tuple) and value:
        inner, item = pad + _STEP, f"{pad}- "
        lead += "- "
        for each in value:
            if isinstance(each, Written):
                assert lead == item
                assert each.depth == len(pad)
                write(each.text)
                continue
            _write(each, lead, inner, write)
            lead = item
    else:
        write(f"{lead}{_scalar(value, pad or _STEP)}\n")


def _scalar(value: object, pad: str) -> str:
    """Return a value of one piece; `pad` is before further lines of a text."""
    match value:
        case str():
            return _indented(_text(value), pad)
        case bool():
            return "true" if value else "false"
        case None:
            return "null"
        case int():
            return str(value)
        case dict():
            return "{}"
        case list() | tuple():
            return "[]"
        case float() if "e" not in (digits := repr(value)) and digits[-1].isdigit():
            return digits
    # A number with an exponent, or none at all.
    return yaml.safe_dump(value).partition("\n")[0]


# The cases of a failure mode are made of the same texts.
@lru_cache(maxsize=5000)
def _text(text: str) -> str:
    if _PLAIN.fullmatch(text) and not _reads_as_other(text):
        return text
    if _ONE_LINE.fullmatch(text):
        return "'" + text.replace("'", "''") + "'"
    if _LINES.fullmatch(text):
        return f"|-\n{text}"
    return yaml.safe_dump(text, default_style='"', allow_unicode=True, width=sys.maxsize).rstrip("\n")


def _reads_as_other(text: str) -> bool:
    """Tell whether a plain text would be read as a number, a time, a truth value or nothing."""
    return any(other.match(text) for _, other in _OTHER_TYPES.get(text[0], ()))


def _indented(written: str, pad: str) -> str:
    """Return a text with its lines but the first behind `pad`; empty ones stay so."""
    return re.sub(r"\n(?=[^\n])", f"\n{pad}", written) if "\n" in written else written


def comment(text: str) -> str:
    """Return text as comment lines; a character that can't be seen is a space there."""
    return "".join(f"# {_seen(line)}".rstrip() + "\n" for line in text.splitlines())


def _seen(line: str) -> str:
    return line if line.isprintable() else "".join(c if c.isprintable() else " " for c in line)


def listed(entries: Iterable[tuple[str, object]], depth: int) -> str:
    """Return a list whose entries each stand under their comment (or none), `depth` blanks in."""
    return "".join(listed_one_by_one(entries, depth))


def listed_one_by_one(entries: Iterable[tuple[str, object]], depth: int) -> Iterator[str]:
    """Yield the text of each entry of a list that is `listed`, as memory has no room for those of a large file."""
    pad = " " * depth
    for note, value in entries:
        lines = [_noted(note, pad)]
        _write([value], pad, pad, lines.append)
        yield "".join(lines)


def _noted(note: str, pad: str) -> str:
    return "".join(f"{pad}{line}" for line in comment(note).splitlines(keepends=True))
