"""The generated rule tests find faults in the generated rules."""

from __future__ import annotations

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
import yaml
from mutants import Mutant, mutants

from pipemon.generate.inhibition import plan
from pipemon.generate.rules import Rules, rule_file, rules
from pipemon.generate.ruletests import test_files as rule_tests
from pipemon.spec.load import load
from pipemon.spec.modes import alert_name

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


def only(made: Rules, document: dict[str, Any], modes: set[str]) -> dict[str, Any]:
    """A rule file with what `modes` need and no more, to save promtool's time."""
    alerts = {alert_name(made.spec.pipeline, mode) for mode in modes}

    def needed(rule: dict[str, Any]) -> bool:
        return rule.get("alert") in alerts or bool(set(made.readers.get(rule.get("record", ""), ())) & modes)

    groups = [{**group, "rules": list(filter(needed, group["rules"]))} for group in document["groups"]]
    return {"groups": [group for group in groups if group["rules"]]}


def passes(folder: Path, document: dict[str, Any], tests: dict[str, Any]) -> bool:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rules.yml").write_text(yaml.safe_dump(document, sort_keys=False))
    (folder / "tests.yml").write_text(yaml.safe_dump({**tests, "rule_files": ["rules.yml"]}, sort_keys=False))
    done = subprocess.run(["promtool", "test", "rules", "tests.yml"], cwd=folder, capture_output=True, check=False)
    return done.returncode == 0


def test_at_least_95_percent_of_faulty_rules_fail_a_generated_test(made: Rules, tmp_path: Path) -> None:
    document = yaml.safe_load(rule_file(made))
    files = [yaml.safe_load(text) for text in rule_tests(made).values()]

    def tests_of(mode: str) -> list[dict[str, Any]]:
        every = ([test for test in file["tests"] if re.sub(":.*", "", test["name"]) == mode] for file in files)
        return [{**file, "tests": found} for file, found in zip(files, every, strict=True) if found]

    def all_pass(folder: Path, document: dict[str, Any], mode: str) -> bool:
        return all(passes(folder, only(made, document, {mode}), file) for file in tests_of(mode))

    def survives(numbered: tuple[int, Mutant]) -> str | None:
        number, mutant = numbered
        # One failure mode after another: most mutants fall at the first.
        for mode in sorted(modes_of(made, mutant.rule)):
            if not all_pass(tmp_path / f"{number}-{mode}", mutant.document, mode):
                return None
        return mutant.what

    for mode in (alert.mode.name for alert in made.alerts):
        assert all_pass(tmp_path / mode, document, mode), mode
    # A third of them, always the same, in the time that there is for all tests.
    every = [mutant for mutant in mutants(document) if crc32(mutant.what.encode()) % 3 == 1]
    with ThreadPoolExecutor(2) as pool:
        survivors = [what for what in pool.map(survives, enumerate(every)) if what]
    print(f"{len(every) - len(survivors)} of {len(every)} mutants found; survivors: {survivors}")
    assert len(survivors) <= (1 - MUST_BE_FOUND) * len(every), survivors
