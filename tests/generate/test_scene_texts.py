"""Scenes of failure modes that are alike at several stages are made once: each is as if it had been made alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipemon.generate.formats.yamltext import dump
from pipemon.generate.inhibition import plan
from pipemon.generate.rules import rules
from pipemon.generate.ruletests.files import tests_of as files_of
from pipemon.spec.load import load
from pipemon.spec.model import Spec
from pipemon.topology import OwnSeries


@pytest.fixture(scope="module")
def spec() -> Spec:
    """Signals of a stage, at one beside it that is alike, and at one that exports a series of its own."""
    spec = plan(load(Path(__file__).with_name("every_signal.yaml"))).spec
    asr = spec.stage("asr")
    stages = (
        asr._replace(name="asr-too", after=("asr",)),
        asr._replace(name="asr-apart", after=("asr",), series=(OwnSeries("calls", "asr_requests_total", ()),)),
    )
    modes = [mode for mode in spec.measurable if mode.stage == "asr"][::2]
    twins = (replace(mode, name=f"{mode.name}-{each.name}", stage=each.name) for each in stages for mode in modes)
    return replace(spec, stages=(*spec.stages, *stages), failure_modes=(*modes, *twins))


def texts(spec: Spec) -> dict[tuple[str, str], str]:
    """The texts of a spec's rule tests by failure mode and name."""
    return {(mode, name): dump([test], 2) for file in files_of(rules(spec)) for mode, name, test in file.cases}


def test_a_rule_test_is_the_same_whichever_stage_was_first(spec: Spec) -> None:
    made = texts(spec)
    assert made == texts(replace(spec, failure_modes=spec.failure_modes[::-1]))
    assert {mode for mode, _ in made} >= {mode.name for mode in spec.failure_modes}
    assert not any('stage="asr"' in text for (mode, _), text in made.items() if mode.endswith("-asr-too"))
