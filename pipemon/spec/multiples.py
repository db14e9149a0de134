"""Thresholds that are multiples of something measured: `2x last week`, `1.5x stable`."""

from __future__ import annotations

import re

from pipemon.errors import nearest
from pipemon.spec.fields import Report, listed
from pipemon.spec.model import STABLE, Reference, Threshold
from pipemon.spec.reader import Scalar, shown
from pipemon.spec.signals import Signal

MULTIPLE = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*x\b\s*(.*)", re.DOTALL)

_REFERENCES = (Reference("last week", 7 * 86400.0), Reference("yesterday", 86400.0), STABLE)
_PLANNED = ("baseline", "all")
_NO_ZERO = ("dB", "dBFS", "celsius")
_LARGEST = 1000.0


def multiple(
    report: Report, node: Scalar, signal: Signal, where: str, *, unit: str, signed: bool, at_stage: bool
) -> Threshold | None:
    """Return the threshold `Nx what` at `node`, whose key ends `where`; None, and a report, where it makes no sense.

    A multiple of decibels or of signed values means nothing, since their zero is not "none of it".
    """
    match = MULTIPLE.fullmatch(node.text.strip())
    assert match is not None
    factor, what = float(match[1]), " ".join(match[2].split())
    known = {reference.words: reference for reference in _REFERENCES}
    reference = known.get(what)
    message, rule = "", "comparison"
    if what in _PLANNED:
        message, rule = f"multiples of {what} are planned, and not in this version; give a fixed value", "planned"
    elif reference is None:
        hint = nearest(what, known) or f"; there are {listed([*known], 'and')}"
        message = f"a multiple of what? found {shown(what) if what else 'nothing'} after the x{hint}"
    elif unit in _NO_ZERO or signed:
        why = f"{unit} have no zero to multiply from" if unit in _NO_ZERO else "a signed value has no multiples"
        message = f"{why}; write `changes_by:` with a step, such as `changes_by: 6{f' {unit}' if unit else ''}`"
    elif (against := "stable" if reference == STABLE else "past") not in signal.against:
        others = [r.words for r in _REFERENCES if ("stable" if r == STABLE else "past") in signal.against]
        takes = f"takes multiples of {listed(others)}" if others else "takes no multiples; give a fixed value"
        message = f"{signal.name} {takes}"
    elif against == "stable" and not at_stage:
        message = "a canary is one of a stage; say which with `stage:`"
    else:
        message, rule = _useless(factor, where), "range"
    if message:
        report.add(node, f"{where}: {message}", rule)
        return None
    words = f"{where.rpartition(' ')[2]} {factor:g}x {what}"
    if where.endswith("above"):
        return Threshold(None, factor, words, reference=reference)
    return Threshold(factor, None, words, reference=reference)


def _useless(factor: float, where: str) -> str:
    """Say why a factor tells nothing, or ""."""
    if where.endswith("above") and factor <= 1:
        return f"{factor:g}x is no more than it was, so this would hold when nothing has changed"
    if where.endswith("below") and not 0 < factor < 1:
        return (
            f"{factor:g}x is no less than it was, so this would hold when nothing has changed"
            if factor
            else "nothing is below none"
        )
    return f"{factor:g}x is beyond {_LARGEST:g}x" if factor > _LARGEST else ""
