"""Each failure mode's rule tests beside the rules that it needs and no others.

promtool evaluates all rules of a file at every step of each of its tests. So a file with the rules and tests of many
failure modes takes time with the square of their number, and as many small files with their number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import groupby

from pipemon.generate.recordings import Recording
from pipemon.generate.rules import Alert, Group, Rules, rule_file
from pipemon.generate.ruletests.files import printed, tests_of


def mode_tests(made: Rules) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield each failure mode's name with the texts of its files by their names; the rules are in `<mode>.rules.yml`.

    One whose tests are in several of the generated files comes as often, with its rules the first time only.
    """
    needed, written = _needed(made), set[str]()
    for file in tests_of(made):
        for mode, cases in groupby(file.cases, key=lambda case: case[0]):
            rules = f"{mode}.rules.yml"
            tests = "".join(printed(made.spec, rules, file.interval, cases))
            text = {} if mode in written else {rules: rule_file(replace(made, groups=needed[mode]))}
            written.add(mode)
            yield mode, {**text, f"{mode}.{file.name}": tests}


def _needed(made: Rules) -> dict[str, tuple[Group, ...]]:
    """Return what each failure mode needs, in the groups that it is in."""
    found: dict[str, list[Group]] = {}
    for group in made.groups:
        recordings: dict[str, list[Recording]] = {}
        alerts: dict[str, list[Alert]] = {}
        for recording in group.recordings:
            for mode in made.readers[recording.name]:
                recordings.setdefault(mode, []).append(recording)
        for alert in group.alerts:
            alerts.setdefault(alert.mode.name, []).append(alert)
        for mode in recordings | alerts:
            own = replace(group, recordings=tuple(recordings.get(mode, ())), alerts=tuple(alerts.get(mode, ())))
            found.setdefault(mode, []).append(own)
    return {mode: tuple(groups) for mode, groups in found.items()}
