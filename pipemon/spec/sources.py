"""The files of a team: read, and those of one pipeline taken together as if they were one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipemon.errors import Problem, SpecError
from pipemon.spec.fields import Report
from pipemon.spec.reader import Items, Mapping, Node, Scalar, parse, shown
from pipemon.spec.syntax import lines_of, text_of

_BY_NAME = ("failure_modes", "stages")
"""Keys whose entries several files may have; all else is said once, or the same in each."""
_OF_ITS_FILE = ("defaults",)
_ANCHORS = "x-"


@dataclass(frozen=True)
class Source:
    """A pipeline's files as one mapping, each file's `defaults` apart, and the report that knows the places."""

    root: Mapping
    report: Report
    files: tuple[str, ...]
    defaults: tuple[tuple[str, Node], ...]


def spec_files(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Return the files meant: a folder stands for its *.yaml and *.yml, by name."""
    found: list[Path] = []
    for path in paths:
        inside = sorted(p for p in path.glob("*.y*ml") if p.suffix in (".yaml", ".yml")) if path.is_dir() else []
        found += inside or [path]
    return tuple(found)


def sources(paths: Sequence[Path]) -> tuple[tuple[Source, ...], tuple[Problem, ...]]:
    """Return the files at `paths` by pipeline, in the order of the first of each, and what could not be read.

    Lines are counted on from each file to the next, so that every node tells its file by its line.
    """
    problems: list[Problem] = []
    groups: dict[str, list[tuple[str, Mapping]]] = {}
    starts: list[tuple[int, str]] = []
    before = 0
    for path in spec_files(paths):
        file = str(path)
        if path.is_dir():
            problems.append(Problem(file, 1, 1, "there is no *.yaml or *.yml in this folder", "file"))
            continue
        try:
            text = text_of(path)
            root = parse(text, file, before)
        except SpecError as error:
            problems += error.problems
            continue
        name = root.get("pipeline")
        known = name.text.strip() if isinstance(name, Scalar) else ""
        groups.setdefault(known or f"\n{file}", []).append((file, root))
        starts.append((before, file))
        before += len(lines_of(text))
    return tuple(_together(group, Report(group[0][0], starts)) for group in groups.values()), tuple(problems)


def _together(group: list[tuple[str, Mapping]], report: Report) -> Source:
    entries: dict[str, tuple[Scalar, Node]] = {}
    defaults: list[tuple[str, Node]] = []
    for file, root in group:
        for name, key, value in root:
            if name.startswith(_ANCHORS):
                continue
            if name in _OF_ITS_FILE:
                defaults.append((file, value))
            elif name not in entries:
                entries[name] = key, value
            else:
                entries[name] = entries[name][0], _joined(report, name, key, entries[name][1], value)
    _, first = group[0]
    root = Mapping(tuple(entries.values()), first.line, first.column)
    return Source(root, report, tuple(dict.fromkeys(file for file, _ in group)), tuple(defaults))


def _joined(report: Report, name: str, key: Scalar, first: Node, second: Node) -> Node:
    if name in _BY_NAME and isinstance(first, Mapping) and isinstance(second, Mapping):
        known = {each.text: each for each, _ in first.entries}
        for entry, _ in second.entries:
            if entry.text in known:
                earlier = report.place(known[entry.text])
                report.add(entry, f"{name}: {shown(entry.text)} is here twice; first at {earlier}", "duplicate")
        added = tuple((entry, value) for entry, value in second.entries if entry.text not in known)
        return Mapping((*first.entries, *added), first.line, first.column)
    if plain(first) != plain(second):
        message = f"{name!r} is said already, and differently, at {report.place(first)}; say it once"
        report.add(key, message, "duplicate")
    return first


def plain(node: Node) -> object:
    """Return what a node says, without its place: a dict, a list or a value."""
    match node:
        case Mapping():
            return {key.text: plain(value) for key, value in node.entries}
        case Items():
            return [plain(item) for item in node.items]
        case _:
            return node.value
