"""Thresholds written into the text of a failure-mode file, which stays as it is otherwise, comments and all."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pipemon.errors import Problem, SpecError
from pipemon.spec.reader import Items, Node, Scalar, parse
from pipemon.spec.reader import Mapping as MappingNode
from pipemon.spec.syntax import BREAK

AUTO = "auto"
_WRITTEN = re.compile(r"""(["']?)auto\1(?![\w.-])""")


def with_thresholds(text: str, file: str, thresholds: Mapping[str, str]) -> str:
    """Return a file's text with the `auto` of each failure mode of `thresholds` that it has replaced.

    Raises SpecError where that can't be told from the text: an anchor stands before it, or two failure modes share it.
    """
    starts = [0, *(found.end() for found in BREAK.finditer(text))]
    changes: dict[int, tuple[int, str]] = {}
    for name, node in _autos(parse(text, file)):
        if name not in thresholds:
            continue
        at = starts[node.line - 1] + node.column - 1
        found = _WRITTEN.match(text, at)
        if found is None or at in changes:
            message = f"{name}: this 'auto' belongs to an anchor; write {thresholds[name]} yourself"
            raise SpecError([Problem(file, node.line, node.column, message, "anchor")])
        changes[at] = found.end(), thresholds[name]
    for at, (end, written) in sorted(changes.items(), reverse=True):
        text = text[:at] + written + text[end:]
    return text


def _autos(root: MappingNode) -> Iterator[tuple[str, Scalar]]:
    modes = root.get("failure_modes")
    for name, _, body in modes if isinstance(modes, MappingNode) else ():
        yield from ((name, node) for node in _within(body) if node.text.strip() == AUTO)


def _within(node: Node) -> Iterator[Scalar]:
    """Yield what stands after `above` or `below`, at whatever depth."""
    match node:
        case MappingNode():
            for key, _, value in node:
                if key in ("above", "below") and isinstance(value, Scalar):
                    yield value
                else:
                    yield from _within(value)
        case Items():
            for item in node.items:
                yield from _within(item)
