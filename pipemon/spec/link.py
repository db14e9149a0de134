"""`link:` of a pipeline on devices whose connection comes and goes: how long nothing may be heard of them."""

from __future__ import annotations

from pipemon.spec import fields
from pipemon.spec.fields import Report
from pipemon.spec.reader import Node

INTERMITTENT = "intermittent"
TOLERANCE = 3600.0
"""How long a cut may be where nobody says, in seconds."""
_SHORTEST, _LONGEST = 300.0, 7 * 86_400.0


def link(report: Report, node: Node | None) -> float:
    """Return how long a cut of the link may last, in seconds, of `link: intermittent` or `link: 4h`; 0 for no cuts."""
    if node is None:
        return 0.0
    expected = "link: expected intermittent, or how long a cut may be, such as 4h"
    return fields.period(report, node, {INTERMITTENT: TOLERANCE}, expected, _SHORTEST, _LONGEST)
