"""What pipelines, stages, features and signals may be called."""

from __future__ import annotations

import re

from pipemon.errors import DeclarationError

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.-]*")


def check_name(kind: str, name: object) -> str:
    """Return `name`, or raise DeclarationError: names go into labels, file names and YAML unquoted."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise DeclarationError(
            f"{kind} name {name!r}: use letters, digits, '_', '.' and '-', beginning with a letter or '_'"
        )
    return name
