"""Baselines: the reference of each feature, from training data, from decorated calls or from a good period."""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

if _TYPE_CHECKING:
    from pipemon.baseline.calls import Learning, learning
    from pipemon.baseline.files import save
    from pipemon.baseline.tables import learn

__all__ = ["Learning", "learn", "learning", "save"]

# Loaded when first asked for: the command is told of without numpy.
_LATER = {"Learning": "calls", "learn": "tables", "learning": "calls", "save": "files"}


def __getattr__(name: str) -> _Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(_import_module(f"pipemon.baseline.{_LATER[name]}"), name)
    return found
