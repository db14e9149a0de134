"""The script fits the example that it plays."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from pipemon.demo.example import copy_example
from pipemon.demo.performance import WINDOW
from pipemon.demo.play import SCRAPE_INTERVAL
from pipemon.demo.script import FAULTS, KEY_FEATURES, PIPELINE, Fault
from pipemon.spec.load import load
from pipemon.spec.model import Spec


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Spec:
    example = copy_example(tmp_path_factory.mktemp("demo"), Path())
    return load(example.spec)


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """Return the example's own module of faults."""
    path = copy_example(tmp_path_factory.mktemp("demo"), Path()).folder / "faults.py"
    found = importlib.util.spec_from_file_location("faults_of_the_demo", path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    # Its dataclasses look their own module up.
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, module.__name__, module)
        found.loader.exec_module(module)
    return module


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_told_by_a_failure_mode_that_leads_to_its_effects_and_pages(fault: Fault, spec: Spec) -> None:
    modes = {mode.name: mode for mode in spec.failure_modes}
    mode = modes[fault.failure_mode]
    assert mode.severity == "page"
    assert set(fault.effects) <= set(mode.leads_to)
    assert set(fault.effects) <= set(modes)


def test_the_faults_that_are_put_into_the_traffic_are_those_that_it_knows(faults: ModuleType) -> None:
    assert {fault.control for fault in FAULTS if fault.control} <= set(faults.FAULTS)


def test_the_pipelines_name_and_times_are_the_examples(spec: Spec) -> None:
    assert spec.pipeline == PIPELINE
    assert spec.timing.scrape_interval == SCRAPE_INTERVAL
    modes = {mode.name: mode for mode in spec.failure_modes}
    assert {modes[fault.failure_mode].window for fault in FAULTS} == {WINDOW}


def test_the_features_that_are_shown_are_taken(spec: Spec) -> None:
    assert set(KEY_FEATURES) <= {feature.name for stage in spec.stages for feature in stage.features}
