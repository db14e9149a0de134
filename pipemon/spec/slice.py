"""The `slice:` of a condition: the group that it is about, as `age=young`."""

from __future__ import annotations

from pipemon.errors import nearest
from pipemon.spec import fields
from pipemon.spec.arguments import Argument, Place
from pipemon.spec.fields import Report
from pipemon.spec.reader import Node, shown
from pipemon.spec.reads import Reads
from pipemon.spec.signals import SIGNALS, Signal


def slice_of(
    report: Report, signal: Signal, node: Node | None, at: Node, argument: Argument, place: Place
) -> tuple[str | None, tuple[tuple[str, str], ...]]:
    """Return the slice, "" where none is written and None where it is wrong, and the labels that pick its series."""
    own = dict(argument.labels) | ({"slice": ""} if _has_slices(signal.reads) else {})
    if node is None and (not place.member or argument.feature is not None):
        return "", tuple(own.items())
    where = f"{place.name}: {'by' if node is None else 'slice'}"
    text = f"{place.group}={place.member}" if node is None else fields.text(report, node, where)
    node, known = node or at, place.spec.slices
    if not text:
        return None, ()
    if signal.in_slice is None:
        names = [each.name for each in SIGNALS.values() if each.in_slice is not None]
        report.add(
            node, f"{where}: {signal.name} is not kept apart by slices; {fields.listed(names, 'and')} are", "slice"
        )
        return None, ()
    group, sign, member = text.partition("=")
    if not sign or not group.strip() or not member.strip():
        report.add(node, f"{where}: expected a group and its member, such as age=young, found {shown(text)}", "slice")
        return None, ()
    text = f"{group.strip()}={member.strip()}"
    if text not in known and (known or place.closed):
        hint = nearest(text, known) or (f"; there are {fields.listed(known, 'and')}" if known else "")
        who = "the code declares" if place.closed else "the file declares"
        report.add(node, f"{where}: {who} no slice {shown(text)}{hint}", "unknown-slice")
        return None, ()
    return text, tuple((own | {"slice": text}).items())


def _has_slices(reads: Reads) -> bool:
    return "slice" in getattr(reads, "labels", ())
