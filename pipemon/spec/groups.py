"""`by: device`: one failure mode written once, that is one for each member of a group."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from pipemon.errors import nearest
from pipemon.spec import fields
from pipemon.spec.fields import Report
from pipemon.spec.model import FailureMode
from pipemon.spec.reader import Mapping, Node, Scalar, shown

MOST_MEMBERS = 10
"""Each has an alert, its tests and a panel, and of drift all series of a feature."""


class Written(NamedTuple):
    """A failure mode to be resolved: its name, where it is written, and the member of a group that it is of, or ""."""

    name: str
    key: Scalar
    body: Node
    group: str = ""
    member: str = ""


def each_of(report: Report, modes: Mapping, slices: Sequence[str]) -> tuple[Written, ...]:
    """Return the failure modes as they are written; of one `by` a group, `<name>-<member>` for each member.

    `slices` are the declared ones, as their label has them: `device=phone`. One with a fault stands once, as written,
    so that what else is wrong with it is told too.
    """
    found = []
    for name, key, body in modes:
        node = body.get("by") if isinstance(body, Mapping) else None
        members = () if node is None else _members(report, name, node, slices)
        if node is not None and isinstance(body, Mapping) and body.get("slice") is not None:
            report.add(node, f"{name}: give `by` or `slice`, not both", "comparison")
            members = ()
        group = fields.text(Report(""), node, "by")
        found += [Written(f"{name}-{member}", key, body, group, member) for member in members]
        if not members:
            found.append(Written(name, key, body))
    return tuple(found)


def _members(report: Report, name: str, node: Node, slices: Sequence[str]) -> tuple[str, ...]:
    group = fields.text(report, node, f"{name}: by")
    known: dict[str, list[str]] = {}
    for each in slices:
        of, _, member = each.partition("=")
        known.setdefault(of, []).append(member)
    members = known.get(group, [])
    if group and not members:
        hint = nearest(group, known) or (f"; there are {fields.listed([*known], 'and')}" if known else "")
        add = "" if known else "; declare it: slices: {device: [phone, desk]}"
        report.add(node, f"{name}: by: there is no group {shown(group)}{hint}{add}", "unknown-slice")
    if len(members) > MOST_MEMBERS:
        message = f"{group} has {len(members)} members, each of which would have its alert; at most {MOST_MEMBERS}"
        report.add(node, f"{name}: by: {message}", "range")
        return ()
    return tuple(members)


def of_member(mode: FailureMode, written: Written) -> FailureMode:
    """Return a failure mode that says of whom it is, in words and in its alert's label `slice`."""
    if not written.member:
        return mode
    slice = f"{written.group}={written.member}"
    return replace(mode, what=f"{mode.what} ({slice})", labels=(*mode.labels, ("slice", slice)))


def written_once(report: Report, mode: FailureMode, written: Written) -> bool:
    """Tell whether what is written can be the same of all members; reports what can't."""
    if not written.member or not any(each.threshold and each.threshold.auto for each in mode.undecided):
        return True
    assert isinstance(written.body, Mapping)
    message = "a backtest chooses a threshold for each by itself; write a number, or a failure mode for each"
    report.add(written.body.key("by"), f"{written.key.text}: by: {message}", "comparison")
    return False


def by_name(every: Iterable[Written]) -> dict[str, list[Written]]:
    """Return the failure modes that each name stands for: its own, or, as written, those of all members."""
    found: dict[str, list[Written]] = {}
    for each in every:
        for name in {each.name, each.key.text}:
            found.setdefault(name, []).append(each)
    return found


def led_to(targets: Iterable[str], source: Written, every: dict[str, list[Written]]) -> Iterator[str]:
    """Yield the failure modes that names stand for: of one by a group, that of the same member, or all of another's."""
    for target in targets:
        of_target = every.get(target, ())
        same = [each for each in of_target if (each.group, each.member) == (source.group, source.member)]
        alike = bool(source.group) and any(each.group == source.group for each in of_target)
        yield from (each.name for each in (same if alike else of_target) if each.name != source.name)
