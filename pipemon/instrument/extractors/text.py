"""Features of texts."""

from __future__ import annotations

from typing import Any

from pipemon.instrument.features import Feature


def words() -> Feature:
    """Words of a text, as separated by white space, in `words`.

    Takes a string, or an object whose attribute `text` is one. Cost: one pass over the text.
    """
    return Feature("words", _words, unit="words", prefix=True)


def _words(text: Any) -> float | None:
    if not isinstance(text, str):
        text = text.text
    return None if text is None else float(len(text.split()))
