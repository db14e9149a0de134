"""YAML text to plain nodes that remember where they stand. Builds no objects, refuses duplicate keys."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from pipemon.errors import Problem, SpecError

_MOST_NODES = 200_000


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
        return next((value for key, value in self.entries if key.value == name), None)

    def key(self, name: str) -> Scalar:
        """Return the key itself, for its position; raises KeyError."""
        for key, _ in self.entries:
            if key.value == name:
                return key
        raise KeyError(name)

    def __iter__(self) -> Iterator[tuple[str, Scalar, Node]]:
        for key, value in self.entries:
            yield str(key.value), key, value


Node = Scalar | Items | Mapping


def kind(node: Node) -> str:
    """Say what a node is in words."""
    match node:
        case Mapping():
            return "a mapping"
        case Items():
            return "a list"
        case Scalar(value=None):
            return "nothing"
        case Scalar(value=bool()):
            return f"the truth value {node.text!r} (quote it if it is a word)"
        case Scalar(value=int() | float()):
            return f"the number {node.text}"
        case _:
            return f"the text {node.text!r}"


def read(path: Path) -> Mapping:
    """Return the mapping that a YAML file holds.

    Raises SpecError, with the position, for what is not UTF-8 text, not YAML, not a mapping, has a key
    twice, or asks for objects.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        reason = error.strerror or "it could not be read"
        raise SpecError([Problem(str(path), 1, 1, f"cannot read the file: {reason.lower()}", "file")]) from None
    except UnicodeDecodeError as error:
        message = f"not UTF-8 text: byte {error.start} is {error.object[error.start]:#04x}"
        raise SpecError([Problem(str(path), 1, 1, message, "not-yaml")]) from None
    return parse(text, str(path))


def parse(text: str, file: str) -> Mapping:
    """As `read`, from text; `file` is the name in messages."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        message = f"not YAML: {error.problem or error.context or 'cannot be parsed'}"
        raise SpecError([Problem(file, line, column, message, "not-yaml")]) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - (text.rfind("\n", 0, error.position) + 1) + 1
        message = f"not YAML: the character {chr(error.character)!r} is not allowed"
        raise SpecError([Problem(file, line, column, message, "not-yaml")]) from None
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError):
        raise SpecError([Problem(file, 1, 1, "not YAML: nested too deeply", "not-yaml")]) from None
    if root is None:
        message = "the file is empty; it should begin with `pipeline: <name>`"
        raise SpecError([Problem(file, 1, 1, message, "not-yaml")])
    reader = _Reader(file)
    try:
        node = reader.convert(root)
    except RecursionError:
        raise SpecError([Problem(file, 1, 1, "not YAML: nested too deeply", "not-yaml")]) from None
    if reader.problems:
        raise SpecError(reader.problems)
    if not isinstance(node, Mapping):
        message = f"expected a mapping that begins with `pipeline: <name>`, found {kind(node)}"
        raise SpecError([Problem(file, node.line, node.column, message, "type")])
    return node


class _Reader:
    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.open: set[int] = set()
        self.count = 0

    def fail(self, node: yaml.Node, message: str, rule: str) -> None:
        mark = node.start_mark
        self.problems.append(Problem(self.file, mark.line + 1, mark.column + 1, message, rule))

    def convert(self, node: yaml.Node) -> Node:
        line, column = node.start_mark.line + 1, node.start_mark.column + 1
        empty = Scalar(None, "", line, column)
        self.count += 1
        if self.count > _MOST_NODES:
            if self.count == _MOST_NODES + 1:
                self.fail(node, "not YAML that pipemon reads: too many nodes once aliases are followed", "not-yaml")
            return empty
        if id(node) in self.open:
            self.fail(node, "an alias points to a node that contains it", "not-yaml")
            return empty
        if node.tag.startswith("tag:yaml.org,2002:python") or not node.tag.startswith("tag:yaml.org,2002:"):
            self.fail(node, f"the tag {node.tag!r} is not allowed; write plain values", "tag")
            return empty
        self.open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return Mapping(tuple(self.entries(node)), line, column)
            if isinstance(node, yaml.SequenceNode):
                return Items(tuple(self.convert(item) for item in node.value), line, column)
        finally:
            self.open.discard(id(node))
        assert isinstance(node, yaml.ScalarNode)
        return Scalar(_value(node), node.value, line, column)

    def entries(self, node: yaml.MappingNode) -> Iterator[tuple[Scalar, Node]]:
        seen: dict[str, Scalar] = {}
        merged: list[tuple[Scalar, Node]] = []
        own: list[tuple[Scalar, Node]] = []
        for key_node, value_node in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                merged += self.merge(value_node)
                continue
            key = self.convert(key_node)
            if not isinstance(key, Scalar):
                self.fail(key_node, f"expected a name as key, found {kind(key)}", "type")
                continue
            key = Scalar(key.text, key.text, key.line, key.column)
            if key.text in seen:
                first = seen[key.text]
                self.fail(key_node, f"{key.text!r} is here twice; first at line {first.line}", "duplicate")
                continue
            seen[key.text] = key
            own.append((key, self.convert(value_node)))
        yield from own
        yield from ((key, value) for key, value in merged if key.text not in seen)

    def merge(self, node: yaml.Node) -> list[tuple[Scalar, Node]]:
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        found: dict[str, tuple[Scalar, Node]] = {}
        for source in sources:
            mapping = self.convert(source)
            if isinstance(mapping, Mapping):
                for key, value in mapping.entries:
                    found.setdefault(key.text, (key, value))
            else:
                self.fail(source, f"`<<` merges mappings, found {kind(mapping)}", "type")
        return list(found.values())


def _value(node: yaml.ScalarNode) -> str | int | float | bool | None:
    text: str = node.value
    match node.tag.removeprefix("tag:yaml.org,2002:"):
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
        return float(text) if node.style is None and "e" in text.lower() and text[:1].isdigit() else text
    except ValueError:
        return text
