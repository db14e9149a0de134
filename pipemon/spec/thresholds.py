"""Thresholds as a team writes them (`above: 5%`, `changes_by: 6 dB`), resolved to the range that is good."""

from __future__ import annotations

import re
from collections.abc import Mapping as Dict
from dataclasses import dataclass
from math import ceil, isfinite

from pipemon.errors import nearest
from pipemon.spec.baseline import FeatureBaseline
from pipemon.spec.fields import Report
from pipemon.spec.model import Threshold
from pipemon.spec.reader import Items, Node, Scalar, kind
from pipemon.spec.signals import Signal
from pipemon.units import seconds

KEYS = ("above", "below", "outside", "changes_by")
MIN_COUNT = 20

_QUANTITY = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(%|[A-Za-z][A-Za-z/_]*)?\s*")
_PLANNED = re.compile(r"\s*(\d+(\.\d+)?\s*x\b.*|auto)\s*")
_SAME_UNIT = {"dB": ("dB", "dBFS"), "dBFS": ("dB", "dBFS")}


@dataclass(frozen=True)
class Context:
    """What a threshold may refer to: the unit of its signal, the budget in seconds, the feature's baseline."""

    signal: Signal
    unit: str
    budget: float | None
    baseline: FeatureBaseline | None


class WaitsForBaselineError(Exception):
    """The threshold needs a baseline that has not been learned yet."""


def threshold(report: Report, given: Dict[str, Node], at: Node, context: Context, where: str) -> Threshold | None:
    """Return the threshold among the keys `given`, or the signal's default.

    Reports what is wrong and returns None then. Raises WaitsForBaselineError.
    """
    signal = context.signal
    found = [name for name in KEYS if name in given]
    for name in found:
        if name not in signal.comparisons:
            takes = f"takes {' or '.join(signal.comparisons)}" if signal.comparisons else "takes no threshold"
            report.add(given[name], f"{where}: {signal.name} {takes}, not {name!r}", "comparison")
            return None
    if len(found) > 1:
        report.add(given[found[1]], f"{where}: one comparison each; found {' and '.join(found)}", "comparison")
        return None
    if "from" in given and found != ["changes_by"]:
        report.add(given["from"], f"{where}: 'from' belongs to 'changes_by'", "comparison")
        return None
    if not signal.comparisons:
        return None
    if not found:
        if not signal.default:
            report.add(at, f"{where}: {signal.name} needs one of {', '.join(signal.comparisons)}", "comparison")
            return None
        given = {"above": Scalar(signal.default, signal.default, at.line, at.column)}
        found = ["above"]
    node = given[found[0]]
    match found[0]:
        case "above":
            high = _amount(report, node, context, where)
            return None if high is None else Threshold(None, high, f"above {_words(node, high, context)}")
        case "below":
            low = _amount(report, node, context, where)
            return None if low is None else Threshold(low, None, f"below {_words(node, low, context)}")
        case "outside":
            return _outside(report, node, context, where)
        case _:
            return _changes_by(report, node, given.get("from"), context, where)


def min_count(context: Context, result: Threshold | None, changes_sd: float | None, allowed: float | None) -> int:
    """Return how many observations make the value mean something.

    For a share t, enough that one event alone is not more than t: 1/t. For a change of k standard
    deviations, enough that the mean's own error is a quarter of that: (4/k)^2. Never under 20.
    """
    need = 0.0
    share = allowed
    if share is None and context.signal.unit == "ratio" and result is not None and result.high:
        share = result.high
    if share:
        need = 1 / share
    if changes_sd:
        need = max(need, (4 / changes_sd) ** 2)
    return max(MIN_COUNT, ceil(round(need, 6)))


def sd_steps(given: Dict[str, Node]) -> float | None:
    """Return k of `changes_by: k sd`, or None."""
    node = given.get("changes_by")
    match = _QUANTITY.fullmatch(node.text) if isinstance(node, Scalar) else None
    return float(match[1]) if match and match[2] == "sd" else None


def _amount(report: Report, node: Node, context: Context, where: str) -> float | None:
    """Return a written quantity in the base unit of its signal."""
    signal = context.signal
    if not isinstance(node, Scalar) or node.value is None or isinstance(node.value, bool):
        report.add(node, f"{where}: expected {_expected(context)}, found {kind(node)}", "type")
        return None
    written = node.text.strip()
    if _PLANNED.fullmatch(written):
        report.add(node, f"{where}: comparisons such as {written!r} are planned, and not in this version", "planned")
        return None
    if written == "budget" and signal.name == "latency":
        if context.budget is None:
            report.add(node, f"{where}: there is no budget here to compare with; give one, or a duration", "budget")
        return context.budget
    seconds_wanted = signal.unit == "seconds" or (signal.unit == "feature" and context.unit == "seconds")
    match = _QUANTITY.fullmatch(written)
    if seconds_wanted and (match is None or match[2] is not None or signal.unit == "seconds"):
        try:
            return seconds(written)
        except ValueError:
            match = None
    if match is None or not isfinite(float(match[1])):
        hint = nearest(written, ("budget",)) if signal.name == "latency" else ""
        report.add(node, f"{where}: expected {_expected(context)}, found {written!r}{hint}", "unit")
        return None
    value, unit = float(match[1]), match[2]
    if unit == "%":
        if signal.unit != "ratio" and context.unit not in ("ratio", ""):
            report.add(node, f"{where}: expected {_expected(context)}, found {written!r}", "unit")
            return None
        value = float(format(value / 100, ".12g"))
    elif unit is not None and (signal.unit == "ratio" or not _fits(unit, context.unit)):
        report.add(node, f"{where}: expected {_expected(context)}, found {written!r}", "unit")
        return None
    if signal.unit == "ratio" and not _possible_share(signal, value):
        bounds = "above 0" if signal.argument == "feedback" else "between 0 and 100%"
        report.add(node, f"{where}: a share is {bounds}; {written!r} can never be right", "range")
        return None
    return value


def _possible_share(signal: Signal, value: float) -> bool:
    # Users can ask again more than once, so feedback per call has no upper end.
    return value > 0 if signal.argument == "feedback" else 0 <= value < 1


def _fits(written: str, unit: str) -> bool:
    return not unit or written in _SAME_UNIT.get(unit, (unit,)) or written.rstrip("s") == unit.rstrip("s")


def _expected(context: Context) -> str:
    if context.signal.unit == "ratio":
        return "a share such as 5% or 0.05"
    if context.signal.unit == "seconds":
        return "a duration with its unit, such as 300ms, or budget"
    return f"a number{f' in {context.unit}' if context.unit else ''}"


def _words(node: Node, value: float, context: Context) -> str:
    written = node.text.strip() if isinstance(node, Scalar) else ""
    if written == "budget":
        return f"{_seconds(value)} (its budget)"
    if context.signal.unit == "ratio":
        return f"{value * 100:.4g}%"
    if re.fullmatch(_QUANTITY, written) and re.search(r"[A-Za-z%]", written.lower().replace("e", "")):
        return written
    return f"{value:g}{_suffix(context.unit)}"


def _suffix(unit: str) -> str:
    return f" {unit}" if unit not in ("", "count", "ratio") else ""


def _seconds(value: float) -> str:
    return f"{value * 1000:g}ms" if value < 1 else f"{value:g}s"


def _outside(report: Report, node: Node, context: Context, where: str) -> Threshold | None:
    if not isinstance(node, Items) or len(node.items) != 2:
        report.add(node, f"{where}: expected two numbers, such as [0.5, 40], found {kind(node)}", "type")
        return None
    low, high = (_amount(report, item, context, where) for item in node.items)
    if low is None or high is None:
        return None
    if low >= high:
        report.add(node, f"{where}: the lower end comes first; {low:g} is not below {high:g}", "range")
        return None
    first, second = (_words(item, value, context) for item, value in zip(node.items, (low, high), strict=True))
    return Threshold(low, high, f"outside {first} to {second}")


def _changes_by(report: Report, node: Node, origin: Node | None, context: Context, where: str) -> Threshold | None:
    written = node.text.strip() if isinstance(node, Scalar) else ""
    match = _QUANTITY.fullmatch(written)
    in_sd = match is not None and match[2] == "sd"
    step = float(match[1]) if match is not None and in_sd else _amount(report, node, context, where)
    if step is None:
        return None
    if step <= 0:
        report.add(node, f"{where}: a change is more than nothing; {written!r} would always hold", "range")
        return None
    learned = origin is None or (isinstance(origin, Scalar) and origin.text == "baseline")
    if in_sd and not learned:
        assert origin is not None
        report.add(
            origin,
            f"{where}: standard deviations are learned: write `from: baseline`, or a step with its unit",
            "comparison",
        )
        return None
    if learned:
        if context.baseline is None:
            raise WaitsForBaselineError
        centre, words = context.baseline.mean, "the baseline"
        words = f"{words} of {centre:.4g}{_suffix(context.unit)}"
        if in_sd:
            if not context.baseline.sd:
                report.add(
                    node,
                    f"{where}: the feature never varied in the baseline; give the step in its unit",
                    "baseline",
                )
                return None
            step *= context.baseline.sd
    else:
        assert origin is not None
        stated = _from(report, origin, context, where)
        if stated is None:
            return None
        centre, words = stated, _words(origin, stated, context)
    low, high = (float(format(value, ".6g")) for value in (centre - step, centre + step))
    return Threshold(low, high, f"changed by more than {written or f'{step:g}'} from {words}")


def _from(report: Report, origin: Node, context: Context, where: str) -> float | None:
    if isinstance(origin, Scalar) and re.search(r"\b(before|ago|last|yesterday|stable)\b", origin.text):
        report.add(origin, f"{where}: comparing with {origin.text!r} is planned, and not in this version", "planned")
        return None
    return _amount(report, origin, context, f"{where} from")
