"""What a stage or a failure mode can be, as numbers that a query gives and words and colours that a panel shows."""

from __future__ import annotations

from pipemon import catalogue as c
from pipemon.generate.dashboards.panels import NEUTRAL, text_mapping, value_mapping
from pipemon.generate.promql import Matcher, Selector, one_of, select
from pipemon.spec.model import SEVERITIES, SEVERITY_LABELS, Severity, Spec

UNWATCHED, NO_DATA, NO_CALLS, QUIET, PENDING = -3, -2, -1, 0, 1
FIRING: dict[Severity, int] = {"notice": 2, "ticket": 3, "page": 4}
SEVERITY_COLORS: dict[Severity, str] = {"notice": "blue", "ticket": "orange", "page": "red"}

_FIRING = tuple((FIRING[s], SEVERITY_LABELS[s], SEVERITY_COLORS[s]) for s in SEVERITIES)
STAGE_STATES = value_mapping(
    (
        *_FIRING,
        (QUIET, "ok", "green"),
        (NO_CALLS, "no calls", NEUTRAL),
        (NO_DATA, "no data", "#5A5A5A"),
        (UNWATCHED, "not watched", "#7A6A8A"),
    )
)
SEVERITY_STATES = text_mapping([(SEVERITY_LABELS[s], SEVERITY_LABELS[s], SEVERITY_COLORS[s]) for s in SEVERITIES])
MODE_STATES = value_mapping((*_FIRING, (PENDING, "pending", "yellow"), (QUIET, " ", "transparent")))

END_TO_END = "end to end"
"""Where an alert is that is of no stage."""


def alerts(spec: Spec, *more: Matcher) -> Selector:
    """Return the pipeline's alerts, of the selection where they say whose they are: not every expression does."""
    selected = tuple(one_of(label, (value, "")) for label, value in spec.select)
    targets = tuple(label for label, _ in spec.select)
    return select(c.ALERTS, (Matcher("pipeline", "=", spec.pipeline), *selected, *more), target_labels=targets)
