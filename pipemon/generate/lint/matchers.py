"""Matchers of an Alertmanager configuration, and which of many alerts meet them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

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


def matches(matchers: Iterable[str], labels: Labels) -> bool:
    """Tell whether an alert's labels meet all matchers, as Alertmanager reads them."""
    return all(each.meets(labels.get(each.label, "")) for each in map(label_matcher, matchers))


class Alerts:
    """Alerts by the values of their labels, so that a rule on a few of them looks at no others."""

    def __init__(self, alerts: Sequence[Labels]) -> None:
        self.alerts = alerts
        self._by: dict[str, dict[str | None, list[int]]] = {}

    def meeting(self, matchers: Iterable[str], *, surely: bool) -> set[int]:
        """Return the numbers of the alerts that meet all matchers.

        Not `surely`, a label that the alert's rule does not give it may have any value: its expression decides.
        """
        every = [label_matcher(text) for text in matchers]
        some = (self._with(each, surely=surely) for each in every if each.values and not each.negated)
        fewest = min(some, key=lambda lists: sum(map(len, lists)), default=[range(len(self.alerts))])
        return {
            number
            for number in chain.from_iterable(fewest)
            if all(
                each.meets(self.alerts[number].get(each.label, ""))
                for each in every
                if surely or each.label in self.alerts[number]
            )
        }

    def _with(self, matcher: LabelMatcher, *, surely: bool) -> list[Sequence[int]]:
        """Return the numbers of the alerts that meet one matcher, a list for each value: most alerts are of one."""
        by = self._values_of(matcher.label)
        values: list[str | None] = [*(matcher.values or ())]
        if not surely or "" in values:
            values.append(None)
        return [by.get(value, ()) for value in values]

    def _values_of(self, label: str) -> dict[str | None, list[int]]:
        """Return the numbers of the alerts by their value of a label, None where they have none."""
        if label not in self._by:
            found = self._by[label] = {}
            for number, labels in enumerate(self.alerts):
                found.setdefault(labels.get(label), []).append(number)
        return self._by[label]
