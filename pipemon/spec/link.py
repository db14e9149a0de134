"""`link:` of a pipeline on devices whose connection comes and goes: how long nothing may be heard of them."""

from __future__ import annotations

from pipemon.errors import nearest
from pipemon.spec.fields import Report
from pipemon.spec.reader import Node, Scalar, kind, shown
from pipemon.units import seconds

INTERMITTENT = "intermittent"
TOLERANCE = 3600.0
"""How long a cut may be where nobody says, in seconds."""
_SHORTEST, _LONGEST = 300.0, 7 * 86_400.0


def link(report: Report, node: Node | None) -> float:
    """Return how long a cut of the link may last, in seconds, of `link: intermittent` or `link: 4h`; 0 for no cuts."""
    if node is None:
        return 0.0
    text = node.text.strip() if isinstance(node, Scalar) else ""
    if text == INTERMITTENT:
        return TOLERANCE
    try:
        found = seconds(text)
    except ValueError:
        what = f"found {shown(text) if text else kind(node)}{nearest(text, (INTERMITTENT,))}"
        report.add(node, f"link: expected intermittent, or how long a cut may be, such as 4h, {what}", "unit")
        return 0.0
    if not _SHORTEST <= found <= _LONGEST:
        report.add(node, f"link: expected 5m to 7d, as long as a cut may be, found {shown(text)}", "range")
        return 0.0
    return found
