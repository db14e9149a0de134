"""The generated rule tests find faults in the generated rules."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from mutants import Mutant, mutants
from rule_subsets import cases_of, documents, failing, only

from pipemon.generate.inhibition import plan
from pipemon.generate.rules import Rules, rules
from pipemon.spec.load import load

pytestmark = pytest.mark.integration

MUST_BE_FOUND = 0.95


@pytest.fixture(scope="module")
def made() -> Rules:
    return rules(plan(load(Path(__file__).with_name("every_signal.yaml"))).spec)


def modes_of(made: Rules, rule: dict[str, Any]) -> set[str]:
    """The failure modes that read a rule."""
    if "record" in rule:
        return set(made.readers[rule["record"]])
    return {alert.mode.name for alert in made.alerts if alert.name == rule["alert"]}


def test_at_least_95_percent_of_faulty_rules_fail_a_generated_test(made: Rules, tmp_path: Path) -> None:
    document, files = documents(made)

    def all_pass(folder: Path, document: dict[str, Any], mode: str) -> bool:
        return not any(failing(folder, only(made, document, {mode}), tests) for tests in cases_of(files, mode))

    def survives(numbered: tuple[int, Mutant]) -> str | None:
        number, mutant = numbered
        # One failure mode after another: most mutants fall at the first.
        for mode in sorted(modes_of(made, mutant.rule)):
            if not all_pass(tmp_path / f"{number}-{mode}", mutant.document, mode):
                return None
        return mutant.what

    # One in sixty-four, always the same, in the time that there is. That the sound rules pass, other tests say.
    selected = [label for label, _ in made.spec.select]
    every = [mutant for mutant in mutants(document, selected) if crc32(mutant.what.encode()) % 64 == 1]
    assert len(every) > 30
    with ThreadPoolExecutor(2) as pool:
        survivors = [what for what in pool.map(survives, enumerate(every)) if what]
    print(f"{len(every) - len(survivors)} of {len(every)} mutants found; survivors: {survivors}")
    assert len(survivors) <= (1 - MUST_BE_FOUND) * len(every), survivors
