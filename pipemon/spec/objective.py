"""Service level objectives and how fast their error budget may burn: multiwindow, multi-burn-rate alerts."""

from __future__ import annotations

import re

from pipemon.spec import fields
from pipemon.spec.fields import Report
from pipemon.spec.model import Burn, Objective, Severity, Spec, Threshold
from pipemon.spec.reader import Node, Scalar, kind, shown
from pipemon.units import duration, seconds

_WRITTEN = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*%\s+over\s+(\S.*)")
_MONTH = 30 * 86400.0
_SHORTEST, _LONGEST = 86400.0, 366 * 86400.0

_FAST = ((3600.0, 0.02), (6 * 3600.0, 0.05))
_SLOW = ((86400.0, 0.10), (3 * 86400.0, 0.10))
"""Long windows, in seconds, and the share of a month's budget that is gone when the alert on each fires: those of
the SRE Workbook (Beyer et al. 2018, chapter 5). The short window is a twelfth of the long one."""


def objective(report: Report, node: Node | None) -> Objective | None:
    """Return what `objective: 99.5% over 30d` says, or None where there is none."""
    if node is None:
        return None
    text = node.text.strip() if isinstance(node, Scalar) else ""
    match = _WRITTEN.fullmatch(text)
    if match is None:
        found = shown(text) if text else kind(node)
        report.add(node, f"objective: expected a share and a time, such as 99.5% over 30d, found {found}", "type")
        return None
    target = round(float(match[1]) / 100, 12)
    try:
        period = seconds(match[2])
    except ValueError:
        report.add(node, f"objective: expected a time such as 30d after `over`, found {shown(match[2])}", "unit")
        return None
    if not 0 < target < 1:
        report.add(node, f"objective: expected more than 0% and less than 100%, found {match[1]}%", "range")
        return None
    if not _SHORTEST <= period <= _LONGEST:
        report.add(node, f"objective: expected 1d to 366d, found {shown(match[2])}", "range")
        return None
    return Objective(target, period, f"{match[1]}% over {duration(period)}")


def burns(spec: Spec, severity: Severity) -> tuple[Burn, ...]:
    """Return the burn rates of an alert of a severity: fast ones for a page, slow ones for what can wait.

    Each is `factor = share of the budget * period / long window`. For another period than 30 days the windows
    are longer or shorter by as much, at least five minutes or four scrapes, so that the shares stay. A rate that
    more than all calls would have to fail for is left out.
    """
    made = spec.objective
    if made is None:
        return ()
    least = max(300.0, 4 * spec.timing.scrape_interval)
    found = []
    for window, share in _FAST if severity == "page" else _SLOW:
        long = max(_minutes(window * made.period / _MONTH), 2 * least)
        short = max(_minutes(long / 12), least)
        factor = round(share * made.period / long, 6)
        if factor * (1 - made.target) < 1:
            found.append(Burn(long, short, factor))
    return tuple(found)


def burning(made: Objective, found: tuple[Burn, ...]) -> Threshold:
    """Return the threshold of the first burn rate, and all of them in words."""
    allowed = round(1 - made.target, 12)
    said = [
        f"above {burn.factor * allowed * 100:.4g}% over {duration(burn.long)} and {duration(burn.short)}"
        for burn in found
    ]
    factors = fields.listed([f"{burn.factor:.4g}" for burn in found])
    words = f"{fields.listed(said)}: the {allowed * 100:.4g}% that {made.words} leaves goes {factors} times too fast"
    return Threshold(None, round(found[0].factor * allowed, 12), words)


def _minutes(time: float) -> float:
    return round(time / 60) * 60.0
