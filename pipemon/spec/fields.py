"""Single values of a spec file: each is checked, and each fault reported where it stands."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pipemon.errors import Problem, nearest
from pipemon.spec.reader import Items, Mapping, Node, Scalar, kind
from pipemon.units import seconds

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class Report:
    """The problems of one file, collected so that all are told at once."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []

    def add(self, node: Node, message: str, rule: str) -> None:
        """Add a problem at a node."""
        self.problems.append(Problem(self.file, node.line, node.column, message, rule))


def check_keys(report: Report, mapping: Mapping, known: Iterable[str], planned: Iterable[str], where: str) -> None:
    """Report every key that is neither known nor, by its name, planned."""
    known = tuple(known)
    for name, key, _ in mapping:
        if name in known:
            continue
        if name in planned:
            report.add(key, f"{where}: {name!r} is planned, and not in this version; remove it", "planned")
        else:
            hint = nearest(name, known) or f"; known are {', '.join(known)}"
            report.add(key, f"{where}: unknown key {name!r}{hint}", "unknown-key")


def text(report: Report, node: Node | None, where: str) -> str:
    """Return a text, or "" where there is none or it is not one."""
    if node is None:
        return ""
    if isinstance(node, Scalar) and isinstance(node.value, str) and node.value.strip():
        return " ".join(node.value.split())
    report.add(node, f"{where}: expected a text, found {kind(node)}", "type")
    return ""


def name(report: Report, node: Node | None, where: str) -> str:
    """Return a name that can be a label's value and part of a file's name."""
    found = text(report, node, where)
    if found and node is not None and not NAME.fullmatch(found):
        report.add(node, f"{where}: {found!r} is not a name; use letters, digits, - and _", "name")
        return ""
    return found


def words(report: Report, node: Node | None, where: str) -> tuple[tuple[str, Scalar], ...]:
    """Return a list of texts with their nodes; one text stands for a list of one."""
    if node is None:
        return ()
    items = node.items if isinstance(node, Items) else (node,)
    found = []
    for item in items:
        if isinstance(item, Scalar) and isinstance(item.value, str) and item.value:
            found.append((item.value, item))
        else:
            report.add(item, f"{where}: expected a text, found {kind(item)}", "type")
    return tuple(found)


def choice(report: Report, node: Node | None, allowed: Iterable[str], default: str, where: str) -> str:
    """Return one of `allowed`."""
    if node is None:
        return default
    allowed = tuple(allowed)
    if isinstance(node, Scalar) and node.value in allowed:
        return str(node.value)
    word = node.text if isinstance(node, Scalar) else ""
    found = repr(word) if word else kind(node)
    report.add(node, f"{where}: expected {' or '.join(allowed)}, found {found}{nearest(word, allowed)}", "choice")
    return default


def time(report: Report, node: Node | None, default: float, where: str) -> float:
    """Return a duration in seconds; it must have a unit."""
    if node is None:
        return default
    if isinstance(node, Scalar) and isinstance(node.value, str):
        try:
            return seconds(node.value)
        except ValueError:
            pass
    found = repr(node.text) if isinstance(node, Scalar) and node.text else kind(node)
    report.add(node, f"{where}: expected a duration with its unit, such as 500ms, 30s or 10m, found {found}", "unit")
    return default


def labels(report: Report, node: Node | None, where: str) -> tuple[tuple[str, str], ...]:
    """Return a mapping of label names to values."""
    if node is None:
        return ()
    if not isinstance(node, Mapping):
        report.add(node, f"{where}: expected a mapping of labels to values, found {kind(node)}", "type")
        return ()
    found = []
    for label, key, value in node:
        if not LABEL.fullmatch(label):
            report.add(key, f"{where}: {label!r} is not a label name", "name")
        if isinstance(value, Scalar) and value.value is not None and value.text:
            found.append((label, value.text))
        else:
            report.add(value, f"{where}: expected a label value, found {kind(value)}", "type")
    return tuple(found)
