"""The `labels:` of a file: under which names labels of pipemon arrive where a target has one of the same name."""

from __future__ import annotations

from collections.abc import Collection

from pipemon.catalogue import METRICS
from pipemon.errors import nearest
from pipemon.spec import fields
from pipemon.spec.fields import Report
from pipemon.spec.reader import Mapping, Node, kind, shown

OWN = tuple(dict.fromkeys(label for metric in METRICS.values() for label in metric.labels))
"""The labels that pipemon's own series have."""


def arrivals(report: Report, node: Node | None, taken: Collection[str]) -> tuple[tuple[str, str], ...]:
    """Return labels of pipemon with the names under which they arrive; none may be one of `taken`, of targets."""
    if node is None:
        return ()
    example = "expected pipemon's labels and how they arrive, such as {stage: exported_stage}"
    if not isinstance(node, Mapping):
        report.add(node, f"labels: {example}, found {kind(node)}", "type")
        return ()
    found: dict[str, str] = {}
    for label, key, value in node:
        name = fields.text(report, value, f"labels: {label}")
        if label not in OWN:
            hint = nearest(label, OWN) or "; those of alerts stand under `defaults:`, as {labels: {team: voice}}"
            report.add(key, f"labels: pipemon's series have no label {shown(label)}{hint}", "name")
        elif name and (not fields.LABEL.fullmatch(name) or name.startswith("__")):
            report.add(
                value, f"labels: {label}: {shown(name)} is not a label name; use letters, digits and '_'", "name"
            )
        elif name in OWN or name == "le":
            report.add(value, f"labels: {label}: {name!r} is a label of pipemon; {example}", "name")
        elif name in taken:
            report.add(
                value, f"labels: {label}: {name!r} is a label of the targets, in `keep` or `select`", "duplicate"
            )
        elif name in found.values():
            report.add(value, f"labels: {label}: another label arrives as {name!r}", "duplicate")
        elif name:
            found[label] = name
    return tuple(found.items())
