"""The generated files are what was reviewed. `make golden` writes them anew."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import pytest

from pipemon.generate.inhibition import plan
from pipemon.generate.output import Options, files, generic_dashboard_files, write
from pipemon.spec.load import load

ROOT = Path(__file__).resolve().parents[2]
EVERY_SIGNAL = Path(__file__).with_name("every_signal.yaml")
SPEECH = ROOT / "examples" / "speech" / "failure_modes.yaml"
GOLDEN = ROOT / "tests" / "golden"
CASES = [
    ("speech", SPEECH),
    ("every_signal", EVERY_SIGNAL),
    ("combined", EVERY_SIGNAL.with_name("combined.yaml")),
    ("drifting", EVERY_SIGNAL.with_name("drifting.yaml")),
    ("shifting", EVERY_SIGNAL.with_name("shifting.yaml")),
    ("stepping", EVERY_SIGNAL.with_name("stepping.yaml")),
    ("undecorated", EVERY_SIGNAL.with_name("undecorated.yaml")),
    ("nightly", EVERY_SIGNAL.with_name("nightly.yaml")),
    ("line", EVERY_SIGNAL.with_name("line.yaml")),
]


def place(case: str, name: str) -> Path:
    """The example's rules and dashboards stand at the top, where people look for them."""
    if case == "speech" and name.startswith(("rules/", "grafana/")):
        return ROOT / name
    return GOLDEN / case / name


@cache
def generated(case: str, spec: Path) -> dict[Path, str]:
    """What a case makes; the dashboards of any pipeline are reviewed once, with the example's."""
    made = files([plan(load(spec))], Options())
    once = {} if case == "speech" else generic_dashboard_files([load(spec)])
    return {place(case, name): text for name, text in made.items() if name not in once}


@pytest.mark.parametrize(("case", "spec"), CASES)
def test_generated_files_are_the_reviewed_ones(case: str, spec: Path) -> None:
    golden = generated(case, spec)
    if os.environ.get("PIPEMON_GOLDEN") == "write":
        write(ROOT, {str(path.relative_to(ROOT)): text for path, text in golden.items()})
    for path, text in golden.items():
        assert path.read_text(encoding="utf-8") == text, f"{path} differs; run `make golden` and review the diff"


def test_no_golden_file_is_left_over() -> None:
    expected = {path for case, spec in CASES for path in generated(case, spec)}
    folders = (GOLDEN, ROOT / "rules", ROOT / "grafana")
    found = {path for folder in folders for path in folder.rglob("*") if path.is_file()}
    found -= set((GOLDEN / "edge").rglob("*"))  # those of test_edge.py
    assert found - expected == set()
