"""Alerts that meet matchers are found by their labels' values: the same as if each were looked at by itself."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from pipemon.generate.lint.matchers import Alerts, label_matcher
from pipemon.generate.promql import literal, quote

_VALUES = st.sampled_from(["", "a", "b", "a.b", "axb", "a-b", "a|b", "a\\b"])
_LABELS = st.sampled_from(["failure_mode", "severity"])
_PATTERNS = st.lists(_VALUES.map(literal) | st.sampled_from(["a.b", ".*", "[ab]", "a?"]), min_size=1, max_size=3)
_MATCHERS = st.builds(
    lambda label, op, value: f"{label}{op}{quote(value)}", _LABELS, st.sampled_from(["=", "!="]), _VALUES
) | st.builds(
    lambda label, op, values: f"{label}{op}{quote('|'.join(values))}", _LABELS, st.sampled_from(["=~", "!~"]), _PATTERNS
)


def matches(matchers: list[str], labels: dict[str, str]) -> bool:
    """Tell whether an alert's labels meet all matchers, as Alertmanager reads them."""
    return all(each.meets(labels.get(each.label, "")) for each in map(label_matcher, matchers))


@settings(max_examples=100)
@given(st.lists(st.dictionaries(_LABELS, _VALUES), max_size=5), st.lists(_MATCHERS, max_size=3))
def test_the_alerts_that_meet_matchers_are_those_of_which_each_does(
    alerts: list[dict[str, str]], asked: list[str]
) -> None:
    surely = {number for number, alert in enumerate(alerts) if matches(asked, alert)}
    assert Alerts(alerts).meeting(asked, surely=True) == surely
    # A label that the rule does not give its alert may have any value.
    known = [[text for text in asked if re.split("[!=]", text)[0] in alert] for alert in alerts]
    maybe = {number for number, alert in enumerate(alerts) if matches(known[number], alert)}
    assert Alerts(alerts).meeting(asked, surely=False) == maybe


@settings(max_examples=100)
@given(_LABELS, _VALUES, _PATTERNS)
def test_a_pattern_is_met_as_a_regular_expression_would_be(label: str, value: str, values: list[str]) -> None:
    pattern = "|".join(values)
    assert matches([f"{label}=~{quote(pattern)}"], {label: value}) == bool(re.fullmatch(pattern, value))
