"""YAML text to plain nodes that remember where they stand. Builds no objects, refuses duplicate keys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml

from pipemon.errors import Problem, SpecError
from pipemon.spec.syntax import compose, lines_of, text_of

_MOST_NODES = 50_000
_MOST_SHOWN = 60
_YAML = "tag:yaml.org,2002:"
_PLAIN = frozenset(
    f"{_YAML}{name}" for name in ("str", "null", "bool", "int", "float", "timestamp", "map", "seq", "merge", "value")
)
_SENTENCES = ("what", "do")
_CUT = re.compile(r"\s*(#[\w-]+)")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Scalar:
    """A text, number, true/false or null. `text` is as written; lines and columns count from 1."""

    value: str | int | float | bool | None
    text: str
    line: int
    column: int


@dataclass(frozen=True)
class Items:
    """A list."""

    items: tuple[Node, ...]
    line: int
    column: int


@dataclass(frozen=True)
class Mapping:
    """Keys and values in the order of the file."""

    entries: tuple[tuple[Scalar, Node], ...]
    line: int
    column: int

    def get(self, name: str) -> Node | None:
        """Return the value of a key, or None."""
        found = self._by_name.get(name)
        return found[1] if found else None

    def key(self, name: str) -> Scalar:
        """Return the key itself, for its position; raises KeyError."""
        return self._by_name[name][0]

    @cached_property
    def _by_name(self) -> dict[object, tuple[Scalar, Node]]:
        return {entry[0].value: entry for entry in reversed(self.entries)}

    def __iter__(self) -> Iterator[tuple[str, Scalar, Node]]:
        for key, value in self.entries:
            yield str(key.value), key, value


Node = Scalar | Items | Mapping


def shown(text: str) -> str:
    """Return a text in quotes on one line, cut where it is long."""
    return repr(text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}...")


def kind(node: Node) -> str:
    """Say what a node is in words."""
    match node:
        case Mapping():
            return "a mapping" if node.entries else "an empty mapping"
        case Items():
            return "a list" if node.items else "an empty list"
        case Scalar(value=None):
            return "nothing"
        case Scalar(value=bool()):
            return f"the truth value {shown(node.text)}; put a word in quotes"
        case Scalar(value=int() | float()):
            return f"the number {shown(node.text)[1:-1]}"
        case _:
            return f"the text {shown(node.text)}"


_ROOT = "a mapping that begins with `pipeline: <name>`"


def read(path: Path, expected: str = _ROOT) -> Mapping:
    """Return the mapping that a YAML file holds, which is `expected` in words.

    Raises SpecError, with the position, for what is not UTF-8 text, not YAML, not a mapping, has a key
    twice, or asks for objects.
    """
    return parse(text_of(path), str(path), expected=expected)


def parse(text: str, file: str, before: int = 0, expected: str = _ROOT) -> Mapping:
    """As `read`, from text; `file` is the name in messages, and `before` is how many lines other files have."""
    root = compose(text, file)
    reader = _Reader(file, before, lines_of(text))
    node = reader.convert(root)
    if reader.problems:
        raise SpecError(reader.problems)
    if not isinstance(node, Mapping):
        message = f"expected {expected}, found {kind(node)}"
        raise SpecError([Problem(file, node.line - before, node.column, message, "type")])
    return node


class _Reader:
    def __init__(self, file: str, before: int, lines: list[str]) -> None:
        self.file = file
        self.lines = lines
        self.before = before
        self.problems: list[Problem] = []
        self.open: set[int] = set()
        self.count = 0

    def fail(self, node: yaml.Node, message: str, rule: str) -> None:
        mark = node.start_mark
        self.problems.append(Problem(self.file, mark.line + 1, mark.column + 1, message, rule))

    def convert(self, node: yaml.Node) -> Node:
        line, column = self.before + node.start_mark.line + 1, node.start_mark.column + 1
        self.count += 1
        if self.count > _MOST_NODES:
            self.fail(node, f"more than {_MOST_NODES:,} values once aliases are followed", "not-yaml")
            raise SpecError(self.problems)
        if id(node) in self.open:
            self.fail(node, "an alias stands inside of what it stands for", "not-yaml")
            return Scalar(None, "", line, column)
        if node.tag not in _PLAIN:
            tag = node.tag.replace(_YAML, "!!", 1)
            self.fail(node, f"the tag {shown(tag)} is not allowed; write plain values", "tag")
            return Scalar(None, "", line, column)
        if isinstance(node, yaml.ScalarNode):
            if half := _SURROGATE.search(node.value):
                self.fail(node, f"{half[0]!r} is half a character and can't be written to a file", "not-yaml")
                return Scalar(None, "", line, column)
            return Scalar(_value(node), node.value, line, column)
        self.open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return Mapping(tuple(self.entries(node)), line, column)
            return Items(tuple(self.convert(item) for item in node.value), line, column)
        finally:
            self.open.discard(id(node))

    def check_whole(self, node: yaml.Node) -> None:
        """Report a sentence that ends where a word begins with `#`: to YAML that is a comment."""
        mark = node.end_mark
        if not isinstance(node, yaml.ScalarNode) or node.style or mark.line >= len(self.lines):
            return
        if cut := _CUT.match(self.lines[mark.line], mark.column):
            message = f"{shown(cut[1])} begins a comment here; put the text in quotes, or a space behind the #"
            self.problems.append(Problem(self.file, mark.line + 1, cut.start(1) + 1, message, "comment"))

    def entries(self, node: yaml.MappingNode) -> Iterator[tuple[Scalar, Node]]:
        seen: dict[str, Scalar] = {}
        merged: list[tuple[Scalar, Node]] = []
        own: list[tuple[Scalar, Node]] = []
        for key_node, value_node in node.value:
            if key_node.tag == f"{_YAML}merge":
                merged += self.merge(value_node)
                continue
            key = self.convert(key_node)
            if not isinstance(key, Scalar):
                self.fail(key_node, f"expected a name as key, found {kind(key)}", "type")
                continue
            if key.text in _SENTENCES:
                self.check_whole(value_node)
            if key.value != key.text:
                key = Scalar(key.text, key.text, key.line, key.column)
            if key.text in seen:
                first = seen[key.text]
                self.fail(
                    key_node, f"{shown(key.text)} is here twice; first at line {first.line - self.before}", "duplicate"
                )
                continue
            seen[key.text] = key
            value = self.convert(value_node)
            if value_node.start_mark.index == value_node.end_mark.index and isinstance(value, Scalar):
                # What is left out has no place of its own.
                value = Scalar(value.value, value.text, key.line, key.column)
            own.append((key, value))
        yield from own
        yield from ((key, value) for key, value in merged if key.text not in seen)

    def merge(self, node: yaml.Node) -> list[tuple[Scalar, Node]]:
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        found: dict[str, tuple[Scalar, Node]] = {}
        for source in sources:
            already = len(self.problems)
            mapping = self.convert(source)
            if isinstance(mapping, Mapping):
                for key, value in mapping.entries:
                    found.setdefault(key.text, (key, value))
            elif len(self.problems) == already:
                self.fail(source, f"`<<` merges mappings, found {kind(mapping)}", "type")
        return list(found.values())


def _value(node: yaml.ScalarNode) -> str | int | float | bool | None:
    text: str = node.value
    match node.tag.removeprefix(_YAML):
        case "null":
            return None
        case "bool":
            return text.lower() in ("yes", "true", "on")
        case "int" | "float" if ":" not in text:
            # Sexagesimal numbers (1:30) stay text, so that they are refused by name.
            try:
                plain = text.replace("_", "")
                return int(plain) if plain.lstrip("+-").isdigit() else float(plain)
            except ValueError:
                return text
    try:
        # YAML 1.1 takes 1e-3 for text; people mean the number.
        return float(text) if not node.style and "e" in text.lower() and text[:1].isdigit() else text
    except ValueError:
        return text
