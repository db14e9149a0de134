"""The rule tests of each failure mode beside the rules that it needs: all that is generated, and no more."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipemon.generate.inhibition import plan
from pipemon.generate.rules import Rules, rule_file, rules
from pipemon.generate.ruletests.by_mode import mode_tests
from pipemon.generate.ruletests.files import test_files as rule_tests
from pipemon.spec.load import load

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@pytest.fixture(scope="module", params=["combined", "drifting"])
def made(request: pytest.FixtureRequest) -> Rules:
    return rules(plan(load(Path(__file__).with_name(f"{request.param}.yaml"))).spec)


def read(text: str) -> Any:
    return yaml.load(text, LOADER)


def test_every_generated_test_is_of_one_failure_mode(made: Rules) -> None:
    apart = [
        test
        for _, texts in mode_tests(made)
        for name, text in texts.items()
        if name.endswith(".tests.yml")
        for test in read(text)["tests"]
    ]
    assert apart == list(chain.from_iterable(read(text)["tests"] for text in rule_tests(made).values()))


def test_a_failure_mode_has_its_own_alert_and_what_that_reads_as_they_are_generated(made: Rules) -> None:
    every = [rule for group in read(rule_file(made))["groups"] for rule in group["rules"]]
    beside = []
    of_modes = {mode: text for mode, texts in mode_tests(made) if (text := texts.get(f"{mode}.rules.yml"))}
    for mode, text in of_modes.items():
        own = [rule for group in read(text)["groups"] for rule in group["rules"]]
        assert all(rule in every for rule in own)
        assert {rule["labels"]["failure_mode"] for rule in own if "alert" in rule} == {mode}
        beside.append(len(own))
    assert set(of_modes) == {mode for mode, _ in mode_tests(made)}
    assert max(beside) < len(every)
