"""Text to YAML's own nodes. What is not YAML is told in words a person knows, where the fault begins."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any, cast

import yaml
from yaml.composer import Composer

from pipemon.errors import Problem, SpecError

_MOST_BYTES = 1_000_000
_DEEPEST = 50

BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_INDENTED = "the indentation of this line does not fit the lines above it"
_OPENING = {"flow sequence": ("[", "]"), "flow mapping": ("{", "}")}


def text_of(path: Path) -> str:
    """Return the text of a file. Raises SpecError for one that can't be read, is no UTF-8, or is over 1 MB."""
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
    except OSError as error:
        reason = error.strerror or "it could not be read"
        raise SpecError([Problem(str(path), 1, 1, f"cannot read the file: {reason.lower()}", "file")]) from None
    if len(raw) > _MOST_BYTES:
        message = f"larger than {_MOST_BYTES // 1_000_000} MB; this can't be a file of failure modes"
        raise SpecError([Problem(str(path), 1, 1, message, "file")])
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8")
        line, column = _end(before)
        message = f"not UTF-8 text: the byte {raw[error.start]:#04x}; save the file as UTF-8"
        raise SpecError([Problem(str(path), line, column, message, "not-yaml")]) from None


def compose(text: str, file: str) -> yaml.Node:
    """Return the root node of YAML text; `file` is the name in messages.

    Raises SpecError for what is empty, not YAML, more than one document, or nested over 50 deep.
    """
    try:
        root = _composed(text)
    except yaml.MarkedYAMLError as error:
        mark, message = _explained(error)
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise SpecError([Problem(file, line, column, f"not YAML: {message}", "not-yaml")]) from None
    except yaml.reader.ReaderError as error:
        line, column = _end(text[: error.position])
        message = f"not YAML: the character {chr(error.character)!r} is not allowed"
        raise SpecError([Problem(file, line, column, message, "not-yaml")]) from None
    except (ValueError, OverflowError):
        # PyYAML lets these out, without a position, for an escape beyond Unicode.
        at = re.search(r"\\U(?!000[0-9A-Fa-f]|0010)", text)
        line, column = _end(text[: at.start()] if at else "")
        message = "not YAML: an escape in double quotes stands for no character; use single quotes"
        raise SpecError([Problem(file, line, column, message, "not-yaml")]) from None
    if root is None:
        message = "the file is empty; it should begin with `pipeline: <name>`"
        raise SpecError([Problem(file, 1, 1, message, "not-yaml")])
    return root


def lines_of(text: str) -> list[str]:
    """Return the lines of a text, parted where YAML counts a line break."""
    return BREAK.split(text)


def scalar_ends(text: str) -> dict[tuple[int, int], tuple[int, int]]:
    """Return behind which line and column each key and value ends, by where it begins, all from 1.

    Blocks of text are left out; so is what follows where the text is no YAML any more.
    """
    found = {}
    with contextlib.suppress(yaml.YAMLError, ValueError, OverflowError):
        for token in yaml.scan(text, Loader=yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader):
            if isinstance(token, yaml.ScalarToken) and token.style not in ("|", ">"):
                begin, end = token.start_mark, token.end_mark
                found[begin.line + 1, begin.column + 1] = (end.line + 1, end.column + 1)
    return found


def _end(text: str) -> tuple[int, int]:
    """Return the line and column right after `text`, with YAML's line breaks."""
    lines = lines_of(text)
    return len(lines), len(lines[-1]) + 1


def _composed(text: str) -> yaml.Node | None:
    """Let libyaml parse, which is ten times as fast, where PyYAML has it: what it refuses PyYAML explains better."""
    if yaml.__with_libyaml__:
        with contextlib.suppress(yaml.YAMLError, ValueError, OverflowError):
            return yaml.compose(text, Loader=_FastLoader)
    return yaml.compose(text, Loader=_Loader)


class _Shallow(Composer):
    """Stops at a depth that no team writes, long before Python's own limit."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Return the next node."""
        self.depth += 1
        if self.depth > _DEEPEST:
            mark = cast("Any", self).peek_event().start_mark
            raise yaml.MarkedYAMLError(problem=f"nested more than {_DEEPEST} deep", problem_mark=mark)
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


class _Loader(_Shallow, yaml.SafeLoader):
    pass


if yaml.__with_libyaml__:

    class _FastLoader(_Shallow, yaml.CSafeLoader):
        """libyaml's events, composed by PyYAML."""

        def __init__(self, text: str) -> None:
            yaml.CSafeLoader.__init__(self, text)
            Composer.__init__(self)


def _after_a_word(mark: yaml.Mark | None) -> str:
    """Return the bracket right after a word where a fault is, as in `rate(x[5m])`, or ""."""
    found = re.search(r"\w([\[{])\Z", mark.buffer[: mark.pointer + 1]) if mark and mark.buffer else None
    return found[1] if found else ""


def _explained(error: yaml.MarkedYAMLError) -> tuple[yaml.Mark | None, str]:
    """Return where a fault begins, and PyYAML's message in a person's words."""
    problem, context = error.problem or "", error.context or ""
    at, begin = error.problem_mark or error.context_mark, error.context_mark or error.problem_mark
    if context == "while scanning a quoted scalar":
        return begin, "this quote is never closed"
    for name, (opened, closed) in _OPENING.items():
        if context == f"while parsing a {name}":
            if "<stream end>" in problem:
                return begin, f"this {opened!r} is never closed with {closed!r}"
            since = f"line {begin.line + 1}, column {begin.column + 1}" if begin else "an earlier line"
            inside = _after_a_word(at)
            quotes = f"; put a value that contains {inside!r} in quotes" if inside else ""
            return at, f"expected ',' or {closed!r}: the {opened!r} of {since} is still open{quotes}"
    if context == "while scanning a block scalar":
        return begin, "a value that begins with '>' or '|' is a block of text; a threshold has no sign before it"
    if problem == "could not find expected ':'":
        return begin, "expected `key: value`; a key stands here without its colon"
    if problem == "mapping values are not allowed here":
        return (
            at,
            "a second ': ' in one line; put a text that contains it in quotes, or check the indentation",
        )
    if "expected <block end>" in problem:
        if "<scalar>" in problem:
            return at, "text after the end of a value; put the whole value in quotes"
        return at, _INDENTED
    if problem == "sequence entries are not allowed here":
        return at, "a list can't begin here; begin it on a line of its own"
    if found := re.fullmatch(r"found character ('.*'|\".*\") that cannot start any token", problem):
        if found[1] == r"'\t'":
            return at, "a tab can't indent; use spaces"
        return at, f"a value can't begin with {found[1]}; put it in quotes"
    if found := re.fullmatch(r"found unknown escape character (.*)", problem):
        return at, f"in double quotes a backslash can't stand before {found[1]}; use single quotes"
    if found := re.fullmatch(r"found undefined alias '(.*)'", problem):
        return (
            at,
            f"'*{found[1]}' stands for an anchor '&{found[1]}' that the file does not have; quote a text with *",
        )
    if found := re.match(r"found duplicate anchor '(.*)'", context):
        first = begin.line + 1 if begin else 1
        return at, f"the anchor '&{found[1]}' is here twice; first at line {first}"
    if problem == "but found another document":
        return at, "a second document begins here; one file holds one pipeline"
    if "scanning an alias" in context or "scanning an anchor" in context:
        return begin, "put a text that begins with * or & in quotes"
    return at, f"{problem or 'it cannot be parsed'}{f' {context}' if context else ''}"
