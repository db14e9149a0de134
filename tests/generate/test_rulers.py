"""Rule files for Mimir, Thanos and VictoriaMetrics: the same groups in the form that each takes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from rule_subsets import LOADER

from pipemon.generate.formats.rulers import MIMIR_RULES, RULERS
from pipemon.generate.inhibition import plan
from pipemon.generate.output import Options, files
from pipemon.spec.load import load

SPEC = Path(__file__).with_name("every_signal.yaml")


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return files([plan(load(SPEC))], Options(formats=tuple(RULERS)))


@pytest.mark.parametrize("ruler", RULERS)
def test_the_rules_are_those_of_the_rule_file(made: dict[str, str], ruler: str) -> None:
    own = yaml.load(made["rules/speech.rules.yml"], LOADER)["groups"]
    theirs = yaml.load(made[f"{ruler}/speech.yaml"], LOADER)["groups"]
    for group in theirs:
        group.pop("partial_response_strategy", None)
    assert theirs == own


def test_mimir_has_the_pipeline_as_the_namespace_and_says_which_limit_to_raise(made: dict[str, str]) -> None:
    document = yaml.load(made["mimir/speech.yaml"], LOADER)
    assert document["namespace"] == "speech"
    largest = max(len(group["rules"]) for group in document["groups"])
    assert largest > MIMIR_RULES
    assert f"has {largest} rules: set" in made["mimir/speech.yaml"]


def test_thanos_takes_no_partial_answer_for_an_absence(made: dict[str, str]) -> None:
    groups = yaml.load(made["thanos/speech.yaml"], LOADER)["groups"]
    assert {group["partial_response_strategy"] for group in groups} == {"abort"}


def test_no_other_form_is_written_unless_it_is_asked_for() -> None:
    assert not [path for path in files([plan(load(SPEC))], Options()) if path.startswith((*RULERS, "kubernetes"))]
