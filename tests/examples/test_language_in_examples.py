"""Every signal and every form of a threshold occurs in an example: a new one needs one, too."""

from __future__ import annotations

import re
from pathlib import Path

from pipemon.spec.multiples import _REFERENCES as REFERENCES
from pipemon.spec.reader import read
from pipemon.spec.signals import SIGNALS
from pipemon.spec.sources import plain
from pipemon.spec.thresholds import KEYS

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FOLDERS = ("speech", "factory", "fraud", "houses")


def written(folder: str) -> list[dict[str, object]]:
    """The failure modes of a folder's files, as they are written."""
    found: list[dict[str, object]] = []
    for path in sorted((EXAMPLES / folder).glob("*.yaml")):
        document = plain(read(path))
        assert isinstance(document, dict)
        found += document.get("failure_modes", {}).values()
    return found


def words(node: object) -> set[str]:
    """Every key, and every value as a text, at any depth."""
    if isinstance(node, dict):
        return {str(key) for key in node} | {word for value in node.values() for word in words(value)}
    if isinstance(node, list):
        return {word for value in node for word in words(value)}
    return {str(node)}


def test_every_signal_occurs_in_an_example() -> None:
    modes = [mode for folder in FOLDERS for mode in written(folder)]
    shown = [mode.get(key) for mode in modes for key in ("signal", "signals")]
    assert set(SIGNALS) - {word.split()[0] for each in shown for word in words(each)} == set()


def test_every_form_of_a_threshold_occurs_in_an_example() -> None:
    told = {word for folder in FOLDERS for mode in written(folder) for word in words(mode)}
    assert set(KEYS) - told == set()
    for reference in REFERENCES:
        assert any(re.fullmatch(rf"[0-9.]+x {reference}", word) or word == reference for word in told), reference
    assert {"auto", "budget"} <= told
    assert any(word.endswith(" sd") for word in told)
