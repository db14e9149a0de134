"""What is read as of a moment, where scrapes are about as far apart as Prometheus looks back for a sample."""

from __future__ import annotations

from dataclasses import replace

from pipemon import catalogue as c
from pipemon.generate.promql import Call, Expr, Selector, rebuilt
from pipemon.spec.model import LONGEST_STEP
from pipemon.units import duration

SCRAPES = 2
"""How far back such series are read, in scrapes: the last one may not be there yet."""
_OF_RULES = (c.ALERTS, c.ALERTS_FOR_STATE)


def in_sight(expr: Expr, scrape_interval: float) -> Expr:
    """Return an expression whose exported series have a value at each moment, if they are scraped so often, in seconds.

    As it is where the last scrape is always within the lookback. What asks whether a series is absent stays as it is
    too: it may be for a moment, and no alert fires as soon.
    """
    return expr if scrape_interval <= LONGEST_STEP else _kept(expr, SCRAPES * scrape_interval)


def selected(selector: str, scrape_interval: float) -> str:
    """Return the same of a selector as it is written."""
    kept = f"last_over_time({selector}[{duration(SCRAPES * scrape_interval)}])"
    return selector if scrape_interval <= LONGEST_STEP else kept


def _kept(expr: Expr, window: float) -> Expr:
    match expr:
        case Selector(window=None) if expr.metric not in _OF_RULES:
            return Call("last_over_time", (replace(expr, window=window),))
        case Call(function="absent"):
            return expr
        case _:
            return rebuilt(expr, lambda part: _kept(part, window))
