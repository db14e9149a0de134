"""Matchers of an Alertmanager configuration, and which of many alerts meet them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pipemon.generate.alertmanager import matcher_parts

Labels = Mapping[str, str]

_NAMES = re.compile(r"(?:[^\\.*+?()\[\]{}^$]|\\[^\w|\\])*")
"""A pattern of names with | between them: nothing in it stands for anything else."""


@dataclass(frozen=True)
class LabelMatcher:
    """What a label's value must be: as `wanted` says, or with `negated` as it does not.

    `values` are all texts that `wanted` stands for, None where it is a pattern of more than names.
    """

    label: str
    wanted: str
    negated: bool
    values: frozenset[str] | None

    def meets(self, value: str) -> bool:
        """Tell whether a value is one that it takes."""
        met = re.fullmatch(self.wanted, value) is not None if self.values is None else value in self.values
        return met != self.negated


# One matcher stands in many rules.
@lru_cache(maxsize=1000)
def label_matcher(text: str) -> LabelMatcher:
    """Return a matcher of the file: `severity="critical"`."""
    label, op, value = matcher_parts(text)
    values: frozenset[str] | None = frozenset((value,))
    if op.endswith("~"):
        values = None
        if _NAMES.fullmatch(value):
            values = frozenset(re.sub(r"\\(.)", r"\1", value).split("|"))
    return LabelMatcher(label, value, op.startswith("!"), values)


class Alerts:
    """Alerts by the values of their labels, so that a rule on a few of them looks at no others."""

    def __init__(self, alerts: Sequence[Labels]) -> None:
        self.alerts = alerts
        self._by: dict[str, dict[str | None, set[int]]] = {}

    def meeting(self, matchers: Iterable[str], *, surely: bool) -> set[int]:
        """Return the numbers of the alerts that meet all matchers.

        Not `surely`, a label that the alert's rule does not give it may have any value: its expression decides.
        """
        every = [self._with(label_matcher(text), surely=surely) for text in matchers]
        return min(every, key=len).intersection(*every) if every else set(range(len(self.alerts)))

    def _with(self, matcher: LabelMatcher, *, surely: bool) -> set[int]:
        by = self._values_of(matcher.label)
        values = (*matcher.values, None) if matcher.values and not matcher.negated else by
        known = (value for value in values if value in by)
        groups = [by[value] for value in known if matcher.meets(value or "") or (value is None and not surely)]
        return groups[0] if len(groups) == 1 else set[int]().union(*groups)

    def _values_of(self, label: str) -> dict[str | None, set[int]]:
        """Return the numbers of the alerts by their value of a label, None where they have none."""
        if label not in self._by:
            found = self._by[label] = {}
            for number, labels in enumerate(self.alerts):
                found.setdefault(labels.get(label), set()).add(number)
        return self._by[label]
