"""Baselines on disk, written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from pipemon.spec.baseline import Baseline, dump


def save(baseline: Baseline, path: str | os.PathLike[str]) -> None:
    """Write a baseline to a file, whole or not at all. Raises OSError."""
    target, text = Path(path), dump(baseline)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).chmod(0o644)
        Path(name).replace(target)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
