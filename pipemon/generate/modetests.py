"""Each failure mode's rule tests beside the rules that it needs and no others.

promtool evaluates all rules of a file at every step of each of its tests. So a file with the rules and tests of many
failure modes takes time with the square of their number, and as many small files with their number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import groupby

from pipemon.generate.rules import Rules, rule_file
from pipemon.generate.ruletests import printed, tests_of


def mode_tests(made: Rules) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield each failure mode's name with the texts of its files by their names; the rules are in `<mode>.rules.yml`.

    One whose tests are in several of the generated files comes as often.
    """
    for file in tests_of(made):
        for mode, cases in groupby(file.cases, key=lambda case: case[0]):
            rules = f"{mode}.rules.yml"
            tests = "".join(printed(rules, file.interval, cases))
            yield mode, {rules: rule_file(of_mode(made, mode)), f"{mode}.{file.name}": tests}


def of_mode(made: Rules, mode: str) -> Rules:
    """Return the rules that a failure mode needs, in the groups that they are in."""
    groups = (
        replace(
            group,
            recordings=tuple(each for each in group.recordings if mode in made.readers[each.name]),
            alerts=tuple(alert for alert in group.alerts if alert.mode.name == mode),
        )
        for group in made.groups
    )
    return replace(made, groups=tuple(group for group in groups if group.recordings or group.alerts))
