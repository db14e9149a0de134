"""Thresholds that are multiples of something measured: `2x last week`, `1.5x stable`."""

from __future__ import annotations

import re

from pipemon.spec.context import Context, WaitsForBaselineError
from pipemon.spec.fields import Report, listed
from pipemon.spec.model import ALL, LAST_HOUR, STABLE, Reference, Threshold
from pipemon.spec.reader import Scalar, shown
from pipemon.units import figure

MULTIPLE = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*x\b\s*(.*)", re.DOTALL)

PAST = {
    reference.words: reference
    for reference in (Reference("last week", 7 * 86400.0), Reference("yesterday", 86400.0), LAST_HOUR)
}
"""The times that a value can be compared with."""
_BASELINE = "baseline"
_REFERENCES = {**PAST, STABLE.words: STABLE, ALL.words: ALL}
_NO_ZERO = ("dB", "dBFS", "celsius")
_LARGEST = 1000.0


def multiple(report: Report, node: Scalar, context: Context, where: str) -> Threshold | None:
    """Return the threshold `Nx what` at `node`, whose key ends `where`; None, and a report, where it makes no sense.

    A multiple of decibels or of signed values means nothing, since their zero is not "none of it". Raises
    WaitsForBaselineError.
    """
    match = MULTIPLE.fullmatch(node.text.strip())
    assert match is not None
    factor, what = float(match[1]), " ".join(match[2].split())
    known = (*_REFERENCES, _BASELINE)
    message, rule = "", "comparison"
    if what not in known:
        message = f"a multiple of {listed(known)}, found {shown(what) if what else 'nothing'} after the x"
    elif context.unit in _NO_ZERO or context.signed:
        unit = context.unit
        why = f"{unit} have no zero to multiply from" if unit in _NO_ZERO else "a signed value has no multiples"
        step = f"`changes_by: 6{f' {unit}' if unit else ''}`{f' and `from: {what}`' if what in PAST else ''}"
        message = f"{why}; write `changes_by:` with a step, such as {step}"
    elif what not in (takes := _taken(context)):
        message = f"{context.signal.name} "
        message += f"takes multiples of {listed(takes)}" if takes else "takes no multiples; give a fixed value"
        if what == ALL.words and context.signal.in_slice is not None:
            message = "all slices together are compared with one of them; say which with `slice:`"
    elif what == STABLE.words and not context.at_stage:
        message = "a canary is one of a stage; say which with `stage:`"
    else:
        message, rule = _useless(factor, where), "range"
    if message:
        report.add(node, f"{where}: {message}", rule)
        return None
    words = f"{where.rpartition(' ')[2]} {factor:g}x {what}"
    if what == _BASELINE:
        return _of_baseline(report, node, factor, words, context, where)
    reference = context.last_hour if what == LAST_HOUR.words else _REFERENCES[what]
    if where.endswith("above"):
        return Threshold(None, factor, words, reference=reference)
    return Threshold(factor, None, words, reference=reference)


def _taken(context: Context) -> list[str]:
    """Return what a signal can be a multiple of, where it stands."""
    against = context.signal.against
    found = [*PAST] if "past" in against else []
    found += [STABLE.words] if "stable" in against and not context.in_slice else []
    found += [ALL.words] if context.in_slice else []
    return [*found, *([_BASELINE] if "baseline" in against else [])]


def _of_baseline(
    report: Report, node: Scalar, factor: float, words: str, context: Context, where: str
) -> Threshold | None:
    if context.baseline is None:
        raise WaitsForBaselineError
    mean = context.baseline.mean
    if mean <= 0:
        report.add(node, f"{where}: the baseline is {figure(mean, 6)}, of which multiples tell nothing", "range")
        return None
    end = float(format(factor * mean, ".6g"))
    words = f"{words} of {figure(mean)}"
    return Threshold(None, end, words, True) if where.endswith("above") else Threshold(end, None, words, True)


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
