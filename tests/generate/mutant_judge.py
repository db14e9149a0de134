"""Many mutants in one rule file, each under names of its own, so that one promtool judges them all.

Beside the sound rules stand, for each mutant, its rule and all that reads it, directly or not, as `name__m7`; the
tests ask of each what they ask of the sound rules. So what is shared is loaded and evaluated once, and what a mutant
can't touch not again. That mutants of a file fall as they do each by itself, `test_mutations` says of some.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mutants import Mutant
from rule_subsets import Document, cases_of, failing, only

from pipemon.generate.rules import Rules

_NAME = re.compile(r"[A-Za-z_:][\w:]*")
_EVERY_RECORDING = ".+:pipemon_.+"
"""What a query for all that is recorded has in it: it reads every rule."""
_ASKED = ("alert_rule_test", "promql_expr_test")
_MOST = 500
"""Rules more in one file, for promtool to hold."""


class Judge:
    """The tests of one failure mode, and the rules that it needs."""

    def __init__(self, made: Rules, document: Document, files: Iterable[Document], mode: str) -> None:
        self.mode = mode
        self.groups = only(made, document, {mode})["groups"]
        self.rules: list[Document] = [rule for group in self.groups for rule in group["rules"]]
        self._reads = {id(rule): _names((rule["expr"], rule.get("annotations", {}))) for rule in self.rules}
        # Most mutants fall at the first test, which the others need not see then; what takes least comes first.
        files = sorted(
            cases_of(files, mode), key=lambda file: sum(len(t.get("input_series", ())) for t in file["tests"])
        )
        self.tests = [
            {**file, "tests": part} for file in files for part in (file["tests"][:1], file["tests"][1:]) if part
        ]

    @property
    def inputs(self) -> int:
        """How many series there are in the tests."""
        return sum(len(test.get("input_series", ())) for tests in self.tests for test in tests["tests"])

    def found(self, folder: Path, mutants: Mapping[int, Mutant]) -> set[int]:
        """Return the numbers of those mutants at which a test fails."""
        rules, found = {id(rule) for rule in self.rules}, set[int]()
        for tests in self.tests:
            needed = self._needed(tests)
            left = [number for number in mutants if number not in found and id(mutants[number].rule) in rules]
            copies = {number: self._readers(name_of(mutants[number].rule)) & needed for number in left}
            while left := [number for number in left if copies[number]]:
                size, some = 0, list[int]()
                while left and size < _MOST:
                    some.append(left.pop())
                    size += sum(name_of(rule) in copies[some[-1]] for rule in self.rules)
                chosen = {number: mutants[number] for number in some}
                found |= self._failing(folder, tests, chosen, copies, needed)
        return found

    def _failing(
        self,
        folder: Path,
        tests: Document,
        mutants: dict[int, Mutant],
        copies: Mapping[int, set[str]],
        needed: set[str],
    ) -> set[int]:
        found = set[int]()
        while mutants:
            document, asked = self._together(tests, mutants, copies, needed)
            said = failing(folder, document, asked)
            heads = [
                line.partition(" time:")[0]
                for line in said.splitlines()
                if re.match(r"\s+(alertname|expr|rule):", line)
            ]
            fell = {int(number) for head in heads for number in re.findall(r"__m(\d+)\b", head)}
            if said and not fell:
                # Not even a rule file: one of them is no expression.
                if len(mutants) == 1:
                    return found | set(mutants)
                numbers = list(mutants)
                halves = numbers[::2], numbers[1::2]
                parts = (self._failing(folder, tests, {n: mutants[n] for n in half}, copies, needed) for half in halves)
                return found.union(*parts)
            found |= fell
            mutants = {number: mutant for number, mutant in mutants.items() if number not in fell}
            if not any(head.lstrip().startswith("rule:") for head in heads):
                break
            # At a rule that can't be evaluated a test ends: what it says of the others is not known yet.
        return found

    def _together(
        self, tests: Document, mutants: Mapping[int, Mutant], copies: Mapping[int, set[str]], needed: set[str]
    ) -> tuple[Document, Document]:
        """Return the rules and the tests of some mutants."""
        renamed = {number: _renaming(number, copies[number]) for number in mutants}
        replaced = set[str].intersection(*(copies[number] for number in mutants))
        groups = []
        for group in self.groups:
            rules = [rule for rule in group["rules"] if name_of(rule) in needed - replaced]
            for number, mutant in mutants.items():
                rules += [
                    _mapped(mutant.changed if rule is mutant.rule else rule, renamed[number])
                    for rule in group["rules"]
                    if name_of(rule) in copies[number]
                ]
            if rules:
                groups.append({**group, "rules": rules})

        def of_each(entries: Iterable[Any]) -> Iterator[Any]:
            for entry in entries:
                for rename in renamed.values():
                    own = _mapped(entry, rename)
                    if own != entry:
                        yield own

        asked = []
        for test in tests["tests"]:
            inputs = test.get("input_series", [])
            own = {key: found for key in _ASKED if (found := list(of_each(test.get(key, ()))))}
            kept = {key: value for key, value in test.items() if key not in _ASKED}
            asked.append({**kept, "input_series": [*inputs, *of_each(inputs)], **own})
        return {"groups": groups}, {**tests, "tests": asked}

    def _readers(self, name: str) -> set[str]:
        """Return a rule's name and those of all that read it."""
        names = {name}
        while more := {name_of(rule) for rule in self.rules if self._reads[id(rule)] & names} - names:
            names |= more
        return names

    def _needed(self, tests: Document) -> set[str]:
        """Return the names of the rules that tests ask of, and of all that these read."""
        asked = [entry for test in tests["tests"] for key in _ASKED for entry in test.get(key, ())]
        texts = [entry.get("expr", entry.get("alertname")) for entry in asked]
        every = {name_of(rule) for rule in self.rules}
        if any(_EVERY_RECORDING in text for text in texts):
            return every
        names = set[str]()
        more = _names(texts) & every
        while more:
            names |= more
            read = set[str]().union(*(self._reads[id(rule)] for rule in self.rules if name_of(rule) in names))
            more = (read & every) - names
        return names


def judges(made: Rules, document: Document, files: Iterable[Document]) -> list[Judge]:
    """Return those of all failure modes, who has the least to look at first."""
    found = [Judge(made, document, files, alert.mode.name) for alert in made.alerts]
    return sorted(found, key=lambda judge: judge.inputs)


def name_of(rule: Document) -> str:
    """Return the name of what a rule records, or of its alert."""
    return str(rule.get("record") or rule["alert"])


def _names(value: object) -> set[str]:
    return {name for text in _texts(value) for name in _NAME.findall(text)}


def _texts(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            yield from _texts(list(value.values()))
        case list() | tuple():
            for each in value:
                yield from _texts(each)


def _renaming(number: int, names: Iterable[str]) -> Callable[[str], str]:
    ours = re.compile(rf"(?<![\w:])({'|'.join(map(re.escape, sorted(names)))})(?![\w:])")
    return lambda text: ours.sub(rf"\1__m{number}", text).replace(_EVERY_RECORDING, f"{_EVERY_RECORDING}__m{number}")


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    match value:
        case str():
            return change(value)
        case dict():
            return {key: _mapped(each, change) for key, each in value.items()}
        case list():
            return [_mapped(each, change) for each in value]
    return value
