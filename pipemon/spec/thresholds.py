"""Thresholds as a team writes them (`above: 5%`, `changes_by: 6 dB`), resolved to the range that is good."""

from __future__ import annotations

import re
from math import ceil, floor, inf, isfinite, log10
from typing import TypeGuard

from pipemon.errors import nearest
from pipemon.spec.context import Context, WaitsForBaselineError
from pipemon.spec.fields import Report, listed
from pipemon.spec.model import LAST_HOUR, Reference, Threshold
from pipemon.spec.multiples import MULTIPLE, PAST, multiple
from pipemon.spec.reader import Items, Mapping, Node, Scalar, kind, shown
from pipemon.units import SIZES, figure, meant, seconds

KEYS = ("above", "below", "outside", "changes_by")
MIN_COUNT = 20
MIN_EVENTS = 3
"""Bad events that a share must rest on to be above its threshold: one or two happen by chance at any traffic."""

_SMALLEST_SHARE = 1e-6
_BY_CHANCE = 1.8
"""Calibration error, times the root of n outputs, that 1% of calibrated models exceed, at most.

Of a bin's n outputs, of which a share p is right, the number of right ones is off by |x| on average: a normal x with
the variance n p (1 - p). Ten bins are off by at most sqrt(2 / pi) sqrt(n sum p (1 - p)) together, p at the end of its
bin that is nearest to a half: 1.10 sqrt(n), with a standard deviation of at most 0.30 sqrt(n). 1.10 + 2.33 x 0.30.
"""
_LARGEST = 1e15
_FEWEST_SD, _MOST_SD = 0.05, 100.0
_QUANTITY = re.compile(r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*(%|[A-Za-z][A-Za-z/_]*)?")
_PART = re.compile(
    r"([0-9]{1,6}(?:\.[0-9]{1,6})?)\s*%\s+of\s+(last week|yesterday|last hour|stable|all|baseline)", re.ASCII
)
_TIMES = re.compile(r"\b(before|ago|last|yesterday|hour|week|stable)\b")
_SAME_UNIT = {"dB": ("dB", "dBFS"), "dBFS": ("dB", "dBFS")}


def threshold(report: Report, given: Mapping, at: Node, context: Context, where: str) -> Threshold | None:
    """Return the threshold among the keys of `given`, or the signal's default.

    Reports what is wrong and returns None then. Raises WaitsForBaselineError.
    """
    signal = context.signal
    found = [name for name in KEYS if given.get(name) is not None]
    wrong = [name for name in found if name not in signal.comparisons]
    for name in wrong:
        takes = f"takes {listed(signal.comparisons)}" if signal.comparisons else "takes no threshold"
        report.add(given.key(name), f"{where}: {signal.name} {takes}, not {name!r}", "comparison")
    if given.get("from") is not None and "changes_by" not in found:
        report.add(given.key("from"), f"{where}: 'from' belongs to 'changes_by'", "comparison")
        return None
    if wrong or not signal.comparisons:
        return None
    if len(found) > 1:
        message = f"{where}: one comparison each, found {listed(found, 'and')}"
        if set(found) == {"above", "below"}:
            message += "; for both ends write `outside: [low, high]`"
        report.add(given.key(found[1]), message, "comparison")
        return None
    if not found:
        if not signal.default:
            report.add(at, f"{where}: {signal.name} needs {listed(signal.comparisons)} beside it", "comparison")
            return None
        default = Scalar(signal.default, signal.default, at.line, at.column)
        found = [signal.comparisons[0]]
        given = Mapping(((Scalar(found[0], found[0], at.line, at.column), default),), at.line, at.column)
    node = given.get(found[0])
    assert node is not None
    if found[0] in ("above", "below") and isinstance(node, Scalar) and MULTIPLE.fullmatch(node.text.strip()):
        return multiple(report, node, context, f"{where}: {found[0]}")
    if signal.against == ("stable",):
        report.add(node, f"{where}: {signal.name} is compared with the stable version, as in 1.5x stable", "comparison")
        return None
    if found[0] in ("above", "below") and isinstance(node, Scalar) and node.text.strip() == "auto":
        return Threshold(None, None, f"{found[0]} auto", auto="above" if found[0] == "above" else "below")
    match found[0]:
        case "above":
            high = _amount(report, node, context, f"{where}: above")
            return None if high is None else Threshold(None, high, f"above {_limit(node, high, context)}")
        case "below":
            low = _amount(report, node, context, f"{where}: below")
            return None if low is None else Threshold(low, None, f"below {_limit(node, low, context)}")
        case "outside":
            return _outside(report, node, context, f"{where}: outside")
        case _:
            return _changes_by(report, node, given.get("from"), context, f"{where}: changes_by")


def min_count(result: Threshold | None, changes_sd: float | None, quantile: float | None, *, is_share: bool) -> int:
    """Return how many observations make the value mean something.

    To be below a share t, enough that no event at all is less than chance once in twenty (the rule of
    three): 3/t. To be above one that is a half or more, enough that nothing else is: 3/(1 - t). For a change
    of k standard deviations, enough that the mean's own error is a quarter of that: (4/k)^2. For a quantile,
    enough that one lies beyond it: 1/(1 - q). Never under 20.
    """
    need = 0.0
    if is_share and result is not None and result.low:
        need = 3 / result.low
    if is_share and result is not None and is_most(result.high):
        need = max(need, 3 / (1 - result.high))
    if changes_sd:
        need = max(need, (4 / changes_sd) ** 2)
    if quantile is not None:
        need = max(need, 1 / (1 - quantile))
    return max(MIN_COUNT, ceil(round(need, 6)))


def is_most(share: float | None) -> TypeGuard[float]:
    """Tell whether a share is of what usually happens, of which a few events tell nothing: a half or more, not all."""
    return share is not None and 0.5 <= share < 1


def calibration_count(result: Threshold) -> int:
    """Return how many outputs make a calibration error above its threshold mean something: (1.8 / threshold)^2.

    Even a calibrated model's confidences are off by chance, more so the fewer outputs there are: fewer than one in
    a hundred such models passes the threshold on this many.
    """
    return max(MIN_COUNT, ceil(round((_BY_CHANCE / (result.high or 0.05)) ** 2, 6)))


def sd_steps(given: Mapping) -> float | None:
    """Return k of `changes_by: k sd`, or None."""
    node = given.get("changes_by")
    match = _QUANTITY.fullmatch(node.text.strip()) if isinstance(node, Scalar) else None
    return float(match[1]) if match and match[2] == "sd" else None


def _amount(report: Report, node: Node, context: Context, where: str) -> float | None:
    """Return a written quantity in the base unit of its signal."""
    signal = context.signal
    if not isinstance(node, Scalar) or node.value is None or isinstance(node.value, bool):
        report.add(node, f"{where}: expected {_expected(context)}, found {kind(node)}", "type")
        return None
    written = node.text.strip()
    if written == "auto":
        report.add(node, f"{where}: 'auto' stands after `above` or `below`; give a fixed value", "comparison")
        return None
    if MULTIPLE.fullmatch(written):
        report.add(node, f"{where}: a multiple such as {shown(written)} stands after `above` or `below`", "comparison")
        return None
    if written == "budget" and signal.name == "latency":
        if context.budget is None and context.complete:
            report.add(node, f"{where}: there is no budget here to compare with; give one, or a duration", "budget")
        return context.budget
    wrong = f"{where}: expected {_expected(context)}, found {shown(written)}"
    if (part := _PART.fullmatch(written)) and where.endswith(("above", "below")):
        report.add(node, f"{wrong}; did you mean '{float(part[1]) / 100:g}x {part[2]}'?", "comparison")
        return None
    match = _QUANTITY.fullmatch(written)
    if context.unit == "bytes" and match is not None and match[2] not in (None, "bytes"):
        if match[2] not in SIZES:
            report.add(node, f"{wrong}{nearest(match[2], SIZES)}", "unit")
            return None
        return float(match[1]) * SIZES[match[2]]
    if signal.unit == "seconds" or (context.unit == "seconds" and (match is None or match[2] is not None)):
        try:
            return seconds(written)
        except ValueError:
            hint = meant(written) or (nearest(written, ("budget",)) if signal.name == "latency" else "")
            report.add(node, f"{wrong}{hint}", "unit")
            return None
    if match is None or not isfinite(float(match[1])):
        report.add(node, wrong, "unit")
        return None
    value, unit = float(match[1]), match[2]
    if unit == "%":
        if "ratio" not in (signal.unit, context.unit):
            report.add(node, wrong, "unit")
            return None
        value = float(format(value / 100, ".12g"))
    elif unit is not None and (signal.unit == "ratio" or unit == "sd" or not _fits(unit, context.unit)):
        report.add(node, wrong, "unit")
        return None
    if abs(value) > _LARGEST:
        report.add(node, f"{where}: {shown(written)} is beyond {_LARGEST:g}", "range")
        return None
    return _share(report, node, value, context, where) if signal.unit == "ratio" else value


def _share(report: Report, node: Scalar, value: float, context: Context, where: str) -> float | None:
    # Users can ask again more than once, so feedback per call has no upper end.
    feedback, written = context.signal.argument == "feedback", node.text.strip()
    message = ""
    if where.endswith("below") and value == 0:
        message = "a share is never below 0"
    elif value <= 0 if feedback else not 0 < value < 1:
        hint = f"; did you mean '{written}%'?" if "%" not in written and 1 <= value <= 100 else ""
        message = f"a share is {'above 0' if feedback else 'above 0 and under 100%'}, found {shown(written)}{hint}"
    elif 0 < value < _SMALLEST_SHARE:
        message = f"{shown(written)} is under one in a million, which no traffic shows"
    if message:
        report.add(node, f"{where}: {message}", "range")
        return None
    return value


def _fits(written: str, unit: str) -> bool:
    return not unit or written in _SAME_UNIT.get(unit, (unit,)) or written.rstrip("s") == unit.rstrip("s")


def _expected(context: Context) -> str:
    if context.signal.unit == "ratio":
        return "a share such as 5% or 0.05"
    if context.signal.unit == "seconds":
        if context.signal.name != "latency":
            return "a duration with its unit, such as 30d"
        return "a duration with its unit, such as 300ms, or budget"
    if context.unit == "bytes":
        return "a size such as 500 MB or 2 GiB"
    if context.unit == "ratio":
        return "a ratio such as 0.05 or 5%"
    if context.unit == "seconds":
        return "seconds, or a duration such as 300ms"
    return f"a number{f' in {context.unit}' if context.unit else ''}"


def _limit(node: Node, value: float, context: Context) -> str:
    """Return a value in words, as alerts print those beside it: a ratio as a percentage, however it is written."""
    return f"{value * 100:.6g}%" if context.unit == "ratio" else _words(node, value, context)


def _words(node: Node, value: float, context: Context) -> str:
    written = node.text.strip() if isinstance(node, Scalar) else ""
    if written == "budget":
        return f"{_seconds(value)} (its budget)"
    if context.signal.unit == "ratio":
        return f"{value * 100:.6g}%"
    match = _QUANTITY.fullmatch(written)
    if match is None or match[2]:
        return " ".join(written.split())
    return f"{value:.12g}{_suffix(context.unit)}"


def _suffix(unit: str) -> str:
    return f" {unit}" if unit not in ("", "none", "count", "ratio") else ""


def _seconds(value: float) -> str:
    return f"{value * 1000:g}ms" if value < 1 else f"{value:g}s"


def _outside(report: Report, node: Node, context: Context, where: str) -> Threshold | None:
    if not isinstance(node, Items) or len(node.items) != 2:
        found = f"{len(node.items)} of them" if isinstance(node, Items) and node.items else kind(node)
        report.add(node, f"{where}: expected two values, such as [0.5, 40], found {found}", "type")
        return None
    low, high = (_amount(report, item, context, where) for item in node.items)
    if low is None or high is None:
        return None
    if low >= high:
        report.add(node, f"{where}: the lower end comes first; {low:g} is not below {high:g}", "range")
        return None
    first, second = (_limit(item, value, context) for item, value in zip(node.items, (low, high), strict=True))
    return Threshold(low, high, f"outside {first} to {second}")


def _changes_by(report: Report, node: Node, origin: Node | None, context: Context, where: str) -> Threshold | None:
    written = node.text.strip() if isinstance(node, Scalar) else ""
    match = _QUANTITY.fullmatch(written)
    in_sd = match is not None and match[2] == "sd"
    if reference := _compared_with(origin, context):
        if in_sd:
            told = "standard deviations are of a baseline; give a step with its unit"
            report.add(node, f"{where}: {told}, or `from: baseline`", "comparison")
            return None
        step = _step(report, node, _amount(report, node, context, where), where)
        if step is None:
            return None
        words = f"changed by more than {_words(node, step, context)} from {reference.words}"
        return Threshold(-step, step, words, reference=reference, adds=True)
    step = float(match[1]) if match is not None and in_sd else _amount(report, node, context, where)
    learned = origin is None or (isinstance(origin, Scalar) and origin.text.strip() == "baseline")
    if learned and "baseline" not in context.signal.against:
        others = listed([f"`from: {each}`" for each in PAST])
        report.add(
            origin or node, f"{where}: nothing learns a baseline of {context.signal.name}; write {others}", "baseline"
        )
        return None
    stated = None if learned or origin is None else _from(report, origin, context, where, in_sd)
    if step is None or (stated is None and not learned):
        return None
    if _step(report, node, step, where) is None:
        return None
    if in_sd and not _FEWEST_SD <= step <= _MOST_SD:
        message = f"{where}: expected {_FEWEST_SD:g} to {_MOST_SD:g} standard deviations, found {shown(written)}"
        report.add(node, message, "range")
        return None
    if stated is None:
        if context.baseline is None:
            raise WaitsForBaselineError
        centre = context.baseline.mean
        words = f"the baseline of {figure(centre)}{_suffix(context.unit)}"
        step *= context.baseline.sd if in_sd else 1
        if not 0 < step < inf:
            message = f"{where}: the feature never varied in the baseline; give the step in its unit"
            report.add(node, message, "baseline")
            return None
    else:
        assert origin is not None
        centre, words = stated, _words(origin, stated, context)
    # Four digits of the step: enough to compare with, few enough to read.
    digits = 3 - floor(log10(step))
    low, high = round(centre - step, digits), round(centre + step, digits)
    if not low < centre < high:
        report.add(node, f"{where}: {shown(written)} is too small a change of {figure(centre, 6)} to be seen", "range")
        return None
    by = f"changed by more than {_words(node, step, context)} from {words}"
    return Threshold(low, high, by, learned=stated is None)


def _compared_with(origin: Node | None, context: Context) -> Reference | None:
    """Return the time that a change is counted from; of what is sudden, and says no other, the hour before."""
    if origin is None:
        return context.last_hour if context.sudden else None
    found = PAST.get(" ".join(origin.text.split())) if isinstance(origin, Scalar) else None
    return context.last_hour if found == LAST_HOUR else found


def _step(report: Report, node: Node, step: float | None, where: str) -> float | None:
    if step is not None and step <= 0:
        written = node.text if isinstance(node, Scalar) else ""
        report.add(node, f"{where}: a change is more than nothing; {shown(written)} would always hold", "range")
        return None
    return step


def _from(report: Report, origin: Node, context: Context, where: str, in_sd: bool) -> float | None:
    if isinstance(origin, Scalar) and _TIMES.search(origin.text):
        hint = nearest(origin.text, PAST) or f"; there are {listed([*PAST], 'and')}"
        report.add(origin, f"{where} from: {shown(origin.text)} is no time to compare with{hint}", "comparison")
        return None
    if in_sd:
        learned = "standard deviations are learned; write `from: baseline`, or a step with its unit"
        report.add(origin, f"{where} from: {learned}", "comparison")
        return None
    return _amount(report, origin, context, f"{where} from")
