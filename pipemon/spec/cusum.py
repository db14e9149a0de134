"""`cusum`: a share of bad events that stays above what is tolerated, told by a cumulative sum.

A bad event adds 1 to the sum and each event, bad or not, takes log2(1 + p) from it, with p the tolerated share; the sum
is never below 0. That is the sum of the logarithms, to base 2, of the likelihood ratio of a share with twice p's odds
(Page, Biometrika 41, 1954; Steiner, Cook, Farewell and Treasure, Monitoring surgical performance using risk-adjusted
cumulative sum charts, Biostatistics 1, 2000).
"""

from __future__ import annotations

from dataclasses import replace
from math import log2

from pipemon.errors import nearest
from pipemon.spec import fields
from pipemon.spec.fields import Report
from pipemon.spec.model import LONGEST_STEP, Condition, Threshold, Timing
from pipemon.spec.reader import Mapping, Node, Scalar, kind, shown
from pipemon.spec.reads import Share
from pipemon.spec.signals import CUSUM, SIGNALS, Signal

LIMIT = 15.0
"""Above it a cumulative sum tells that more are bad than is tolerated."""
RUN_LENGTH = 130_000
"""How many bad events there are, on average, before a sum is above LIMIT by chance where the tolerated share is bad.

As a Markov chain on a lattice (Brook and Evans 1972): 134,600 where the share is small, 141,200 at 2%, 173,500 at
10%. Sums that are looked at step by step are never higher, so it is at least that.
"""
STEP = LONGEST_STEP
"""The longest step in seconds: a rule that reads its own last value must find it within the lookback."""


def step_of(timing: Timing) -> float:
    """Return how long a step of a cumulative sum is, in seconds: 16 scrapes, within the lookback."""
    return min(STEP, 16 * timing.scrape_interval)


def adds_up(timing: Timing) -> bool:
    """Tell whether each step has two scrapes: of fewer nothing tells what came between them."""
    return timing.scrape_interval <= STEP / 2


def slack(tolerated: float) -> float:
    """Return what each event takes from the sum, the reference value: between the share and one of twice its odds."""
    return float(f"{log2(1 + tolerated):.9g}")


def summed(condition: Condition) -> Condition:
    """Return the condition whose bad events a sum is of, without a threshold."""
    name, _, argument = condition.argument.partition(" ")
    return replace(condition, signal=name, argument=argument, threshold=None, tolerated=0.0)


def summing(condition: Condition) -> Condition:
    """Return the condition that more events are bad than another's threshold, as their sum tells."""
    threshold = condition.threshold
    assert threshold is not None
    assert threshold.high is not None
    argument = f"{condition.signal} {condition.argument}".strip()
    share = threshold.words.removeprefix("above ")
    words = f"above {LIMIT:g}: more than {share}, by chance once in {RUN_LENGTH:,}"
    return replace(
        condition,
        signal=CUSUM,
        argument=argument,
        threshold=Threshold(None, LIMIT, words),
        tolerated=threshold.high,
        min_count=0,
        min_events=0,
    )


def names() -> list[str]:
    """Return the signals whose bad events can be summed: shares of which more is worse."""
    return [each.name for each in SIGNALS.values() if isinstance(each.reads, Share) and each.comparisons[0] == "above"]


def of_what(report: Report, node: Node | None, at: Node, where: str) -> tuple[Signal, Node | None] | None:
    """Return the signal that `feedback redo` names, as a sum takes it, and the node of what it is of."""
    text = node.text.strip() if isinstance(node, Scalar) else ""
    name, _, rest = (part.strip() for part in text.partition(" "))
    if name not in names():
        found = shown(text) if text else kind(node) if node else "nothing"
        message = f"{where}: expected {fields.listed(names())}, found {found}{nearest(name, names())}"
        report.add(node or at, message, "type")
        return None
    assert isinstance(node, Scalar)
    # More than it tolerates: neither a default nor a multiple says how much that is.
    signal = replace(SIGNALS[name], default="", comparisons=("above",), against=())
    return signal, replace(node, value=rest, text=rest) if rest else None


def misplaced(report: Report, beside: Mapping, where: str) -> bool:
    """Tell whether something stands beside a sum that it does not take."""
    above, least = beside.get("above"), beside.get("min_calls")
    if least is not None:
        report.add(beside.key("min_calls"), f"{where}: a sum waits until it has seen enough; remove it", "comparison")
    elif isinstance(above, Scalar) and above.text.strip() == "auto":
        report.add(above, f"{where}: 'auto' chooses no share that is tolerated; give one, such as 2%", "comparison")
    else:
        return False
    return True
