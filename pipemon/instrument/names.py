"""What pipelines, stages, features and signals may be called."""

from __future__ import annotations

import re

from pipemon.errors import DeclarationError

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.-]*")


def check_text(what: str, text: object) -> str:
    """Return `text`, or raise DeclarationError: what UTF-8 can't encode would break every scrape."""
    if not isinstance(text, str) or text.encode(errors="ignore") != text.encode(errors="replace"):
        raise DeclarationError(f"{what} {text!r} is not a text")
    return text


def check_name(kind: str, name: object) -> str:
    """Return `name`, or raise DeclarationError: names go into labels, file names and YAML unquoted."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise DeclarationError(
            f"{kind} name {name!r}: use letters, digits, '_', '.' and '-', beginning with a letter or '_'"
        )
    return name
