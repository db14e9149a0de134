"""Every key, every signal and every form of a threshold occurs in an example: a new one needs one, too."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pipemon.spec.multiples import _REFERENCES as REFERENCES
from pipemon.spec.reader import read
from pipemon.spec.schema import schema
from pipemon.spec.signals import SIGNALS
from pipemon.spec.sources import plain
from pipemon.spec.thresholds import KEYS

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FOLDERS = ("speech", "factory", "fraud", "houses")


Written = dict[str, Any]


def documents() -> list[Written]:
    """Every file of failure modes of every example, as it is written."""
    found = [plain(read(path)) for folder in FOLDERS for path in sorted((EXAMPLES / folder).glob("*.yaml"))]
    return [each for each in found if isinstance(each, dict) and "failure_modes" in each]


def written(documents: list[Written], *places: str) -> list[Written]:
    """The entries under these keys."""
    return [entry for document in documents for place in places for entry in document.get(place, {}).values()]


def words(node: object) -> set[str]:
    """Every key, and every value as a text, at any depth."""
    if isinstance(node, dict):
        return {str(key) for key in node} | {word for value in node.values() for word in words(value)}
    if isinstance(node, list):
        return {word for value in node for word in words(value)}
    return {str(node)}


def test_every_key_of_the_schema_occurs_in_an_example() -> None:
    top, every = schema()["properties"], documents()
    mode = schema()["$defs"]["failure_mode"]["properties"]
    assert set(top) - {key for document in every for key in document} == set()
    stages = top["stages"]["additionalProperties"]["properties"]
    assert set(stages) - {key for stage in written(every, "stages") for key in stage} == set()
    modes = [*written(every, "failure_modes"), *(document.get("defaults", {}) for document in every)]
    assert set(mode) - {key for each in modes for key in each} == set()
    assert set(top["defaults"]["properties"]) <= set(mode)
    told = {key for each in modes for value in each.values() for key in words(value)}
    for key in ("signals", "then"):
        assert set(mode[key]["properties"]) - told == set(), key


def test_every_signal_occurs_in_an_example() -> None:
    shown = [mode.get(key) for mode in written(documents(), "failure_modes") for key in ("signal", "signals")]
    assert set(SIGNALS) - {word.split()[0] for each in shown for word in words(each)} == set()


def test_every_form_of_a_threshold_occurs_in_an_example() -> None:
    told = {word for mode in written(documents(), "failure_modes") for word in words(mode)}
    assert set(KEYS) - told == set()
    for reference in REFERENCES:
        assert any(re.fullmatch(rf"[0-9.]+x {reference}", word) or word == reference for word in told), reference
    assert {"auto", "budget"} <= told
    assert any(word.endswith(" sd") for word in told)
