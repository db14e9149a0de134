"""What a stage or a failure mode can be, as numbers that a query gives and words and colours that a panel shows."""

from __future__ import annotations

from pipemon import catalogue as c
from pipemon.generate.dashboards.panels import NEUTRAL, text_mapping, value_mapping
from pipemon.generate.promql import Matcher, Selector, one_of, select
from pipemon.spec.model import SEVERITIES, SEVERITY_LABELS, Severity, Spec

UNWATCHED, NO_DATA, NO_CALLS, QUIET, PENDING, OBSERVED = -3, -2, -1, 0, 1, 2
FIRING: dict[Severity, int] = {"notice": 5, "ticket": 6, "page": 7}
LESS_OF_AN_EFFECT = 3
"""How much lower the number of a stage is that may only suffer: below that of any cause."""
SEVERITY_COLORS: dict[Severity, str] = {"notice": "blue", "ticket": "orange", "page": "red"}
_EFFECT_COLORS: dict[Severity, str] = {
    "notice": "rgba(87, 148, 242, 0.28)",
    "ticket": "rgba(255, 152, 48, 0.28)",
    "page": "rgba(242, 73, 92, 0.28)",
}
"""The same hues, pale on light and dim on dark: the eye is to fall on the cause. From an opacity of 0.3 on Grafana
would write in white on them in its light theme too."""

_SIGNS: dict[Severity, str] = {"notice": "i", "ticket": "!", "page": "✕"}
"""Each state has a sign too, by which it is told without its colour.

Words are short: the longest decides how large all are.
"""


def signed(severity: Severity, words: str) -> str:
    """Return a severity's words with its sign."""
    return f"{_SIGNS[severity]} {words}"


_FIRING = tuple((FIRING[s], signed(s, SEVERITY_LABELS[s]), SEVERITY_COLORS[s]) for s in SEVERITIES)
_EFFECTS = tuple((FIRING[s] - LESS_OF_AN_EFFECT, f"↳ {SEVERITY_LABELS[s]}", _EFFECT_COLORS[s]) for s in SEVERITIES)
_OK, _NO_CALLS = (QUIET, "✓ ok", "green"), (NO_CALLS, "○ no calls", NEUTRAL)
_NO_DATA = (NO_DATA, "? no data", "#5A5A5A")
STAGE_STATES = value_mapping((*_FIRING, *_EFFECTS, _OK, _NO_CALLS, _NO_DATA, (UNWATCHED, "· unwatched", "#7A6A8A")))
SEVERITY_STATES = text_mapping(
    [(SEVERITY_LABELS[s], signed(s, SEVERITY_LABELS[s]), SEVERITY_COLORS[s]) for s in SEVERITIES]
)
# A wait is often short: with a sign its word would have no room.
MODE_STATES = value_mapping(
    (*_FIRING, (PENDING, "pending", "yellow"), (OBSERVED, "~ burn-in", NEUTRAL), (QUIET, " ", "transparent"))
)
VERDICT_STATES = value_mapping((*_FIRING, (QUIET, "nothing fires", "rgba(142, 142, 142, 0.2)")))
"""Of a canary: that nothing fires is no proof that it is good."""

_HEX = {"red": "#F2495C", "orange": "#FF9830", "blue": "#5794F2", "green": "#73BF69"}
STAGE_WORDS = tuple(
    (value, words, _HEX.get(color, color)) for value, words, color in (*_FIRING, *_EFFECTS, _OK, _NO_CALLS, _NO_DATA)
)
"""What a stage can be by the metrics alone: number, word, and a colour that a web page understands."""

END_TO_END = "end to end"
"""Where an alert is that is of no stage."""


def alerts(spec: Spec, *more: Matcher) -> Selector:
    """Return the pipeline's alerts, of the selection where they say whose they are: not every expression does."""
    selected = tuple(one_of(label, (value, "")) for label, value in spec.select)
    targets = tuple(label for label, _ in spec.select)
    return select(c.ALERTS, (Matcher("pipeline", "=", spec.pipeline), *selected, *more), target_labels=targets)
