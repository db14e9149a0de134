"""The signals: what each needs, takes and assumes where a failure mode does not say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipemon.spec.model import Kind, Severity

Argument = Literal["none", "quantile", "feature", "feedback", "promql", "signal"]
Against = Literal["past", "stable"]
Unit = Literal["ratio", "seconds", "feature", "none", "calls/s", "calls", "cores"]
Need = Literal["", "one_to_one", "workers", "trained"]


@dataclass(frozen=True)
class Signal:
    """One entry of the table.

    `words` is how a person says the signal. `default` is the threshold where none is written ("" if one
    must be). `comparisons` are the thresholds that make sense, `against` what they may be multiples of: the
    same in the past, or the stable version's beside a canary's. `for_` is in seconds: causes (software,
    input) are told sooner than their effects (output, quality), so that they are there to hold them back.
    With `by_calls` it is a statement about calls, which a few of them can't make. `needs` is what the stage
    must be declared with for its series to be there. With `for_window`, `for` is at least the window: what is
    extrapolated of a counter that just began, or of replicas that just went, must have left it.
    """

    name: str
    words: str
    argument: Argument
    unit: Unit
    kind: Kind | None
    severity: Severity
    default: str
    comparisons: tuple[str, ...]
    for_: float
    whole_pipeline: bool = False
    by_calls: bool = True
    needs: Need = ""
    against: tuple[Against, ...] = ()
    for_window: bool = False


_ENDS = ("above", "below", "outside")
_RANGE = (*_ENDS, "changes_by")
_BOTH: tuple[Against, ...] = ("past", "stable")
_SIGNALS = (
    Signal(
        "latency",
        "duration",
        "quantile",
        "seconds",
        "software",
        "ticket",
        "budget",
        ("above",),
        120,
        True,
        against=_BOTH,
    ),
    Signal("error_ratio", "failures", "none", "ratio", "software", "page", "5%", ("above",), 120, True, against=_BOTH),
    Signal("null_ratio", "null outputs", "none", "ratio", "output", "page", "5%", _ENDS, 120, against=_BOTH),
    Signal("missing_ratio", "missing values", "feature", "ratio", None, "ticket", "5%", ("above",), 120, against=_BOTH),
    Signal("no_calls", "no calls", "none", "none", "software", "page", "", (), 120, True),
    Signal("mean", "mean", "feature", "feature", None, "ticket", "", _RANGE, 120, against=_BOTH),
    Signal("feedback", "feedback", "feedback", "ratio", "quality", "ticket", "", _ENDS, 300, against=_BOTH),
    # The canary's value of another signal, as a multiple of the stable version's.
    Signal("compare", "", "signal", "ratio", "rollout", "ticket", "1.5x stable", ("above",), 120, against=("stable",)),
    # Extrapolation may treat a counter that just began unlike the others: no longer than the usual window.
    Signal(
        "unaccounted_ratio",
        "items unaccounted for",
        "none",
        "ratio",
        "software",
        "ticket",
        "1%",
        ("above",),
        300,
        needs="one_to_one",
        for_window=True,
    ),
    Signal(
        "throughput",
        "calls per second",
        "none",
        "calls/s",
        "software",
        "ticket",
        "",
        _ENDS,
        120,
        True,
        False,
        against=("past",),
    ),
    Signal("in_progress", "calls in progress", "none", "calls", "software", "ticket", "", ("above",), 120, True, False),
    Signal(
        "load",
        "load",
        "none",
        "ratio",
        "software",
        "ticket",
        "90%",
        ("above",),
        300,
        by_calls=False,
        needs="workers",
        for_window=True,
    ),
    Signal("cpu", "processor cores used", "none", "cores", "software", "ticket", "", ("above",), 300, False, False),
    Signal(
        "age",
        "age of the model",
        "none",
        "seconds",
        "quality",
        "ticket",
        "",
        ("above",),
        300,
        by_calls=False,
        needs="trained",
    ),
    Signal("promql", "expression", "promql", "none", "software", "ticket", "", (), 120, True),
)

SIGNALS: dict[str, Signal] = {signal.name: signal for signal in _SIGNALS}

PLANNED_SIGNALS = (
    "memory", "quantile", "share", "new_category", "drift",
    "quality", "agreement", "automation", "label_disagreement", "budget_burn",
)  # fmt: skip
"""Named by the language, not built yet: refused by name rather than ignored."""


def kind(signal: Signal, direction: str | None) -> Kind:
    """Return the kind of alert: that of the signal, or of the side of the stage that its feature is on."""
    return signal.kind or ("input" if direction == "input" else "output")


def for_seconds(signal: Signal, direction: str | None) -> float:
    """Return the default `for`: longer for a worse output, which is an effect more often than a cause."""
    return max(signal.for_, 300.0) if signal.name == "mean" and direction == "output" else signal.for_
