"""The JSON Schema for editors: what the loader reads it allows, and keys that the loader refuses it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pipemon.errors import SpecError
from pipemon.spec.reader import read
from pipemon.spec.schema import schema
from pipemon.spec.signals import SIGNALS
from pipemon.spec.sources import plain
from pipemon.spec.written_signal import BESIDE

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
GOOD = [
    *sorted(HERE.glob("ok/*.yaml")),
    *ROOT.glob("examples/*/failure_modes*.yaml"),
    *(path for path in ROOT.glob("examples/speech/*.yaml") if path.stem not in ("actions", "failure_modes")),
    *ROOT.glob("tests/generate/*.yaml"),
]
ARGUMENTS = {
    "none": None,
    "quantile": "p99",
    "feature_quantile": "p95 of input.words",
    "category": "input.language=fr",
    "signal": "null_ratio",
}
OF_KEYS = ("[unknown-key]", "takes above", "takes no threshold")


def is_of_keys(line: str) -> bool:
    """Whether a fault is one of a key: not known, or not of this signal."""
    return any(mark in line for mark in OF_KEYS)


def read_or_none(path: Path) -> object:
    try:
        return plain(read(path))
    except SpecError:
        return None


KEY_FAULTS = [
    path
    for path in sorted(HERE.glob("bad/*.yaml"))
    if any(map(is_of_keys, path.with_suffix(".out").read_text().splitlines())) and read_or_none(path) is not None
]


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    return Draft202012Validator(schema())


def test_it_is_a_schema_of_draft_2020_12() -> None:
    Draft202012Validator.check_schema(schema())
    assert json.loads(json.dumps(schema())) == schema()


@pytest.mark.parametrize("path", GOOD, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_what_the_loader_accepts_the_schema_accepts(validator: Draft202012Validator, path: Path) -> None:
    errors = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(plain(read(path)))]
    assert errors == []


def test_there_are_files_with_faults_of_keys() -> None:
    assert len(KEY_FAULTS) >= 5


@pytest.mark.parametrize("path", KEY_FAULTS, ids=lambda path: path.stem)
def test_faults_of_keys_are_found_by_both(validator: Draft202012Validator, path: Path) -> None:
    assert list(validator.iter_errors(read_or_none(path)))


@pytest.mark.parametrize(
    "change",
    [
        {"stagee": "vad"}, {"signal": "nul_ratio"}, {"signal": {"mean": None}}, {"signal": ["null_ratio"]}, {"for": 10},
        {"for": "10 minutes"}, {"severity": "critical"}, {"pace": "slow"}, {"mode": "silent"}, {"labels": {"le": "x"}},
        {"labels": {"a b": "c"}}, {"outside": [1]}, {"min_calls": 0}, {"signals": {"some": ["null_ratio"]}},
        {"signal": None}, {"what": ""}, {"what": 3}, {"leads_to": [1]},
        {"signals": {"any": [{"mean": "x", "signal": "y"}]}},
        {"mode": {"observe": "2026-01-31", "until": "x"}}, {"changes_by": "5%"}, {"window": "1 fortnight"},
    ],
    ids=str,
)  # fmt: skip
def test_what_a_failure_mode_may_not_say_is_refused(validator: Draft202012Validator, change: dict[str, Any]) -> None:
    mode = {"what": "x", "stage": "vad", "signal": "null_ratio"}
    spec = {"pipeline": "speech", "stages": {"vad": {}}, "failure_modes": {"a": mode}}
    assert validator.is_valid(spec)
    assert not validator.is_valid({**spec, "failure_modes": {"a": {**mode, **change}}})


def test_every_signal_of_the_table_is_known_with_its_comparisons(validator: Draft202012Validator) -> None:
    for signal in SIGNALS.values():
        argument = ARGUMENTS.get(signal.argument, "word")
        for key in ("above", "below", "outside", "changes_by"):
            value = [1, 2] if key == "outside" else 1
            mode = {"what": "x", "stage": "vad", "signal": {signal.name: argument}, key: value}
            spec = {"pipeline": "speech", "failure_modes": {"a": mode}}
            assert validator.is_valid(spec) == (key in signal.comparisons), (signal.name, key)


def test_every_key_says_what_it_is_for() -> None:
    whole = schema()
    mode = whole["$defs"]["failure_mode"]["properties"]
    assert set(BESIDE) <= set(mode)
    assert all(entry["description"] for entry in (*whole["properties"].values(), *mode.values()))
