"""Which firings would have been told, and which were held back by their cause, as Alertmanager does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pipemon.backtest.firing import Firing
from pipemon.generate.inhibition import Plan
from pipemon.spec.model import Spec

Fired = Mapping[str, Sequence[Firing]]
"""The firings of each failure mode, by its name."""


def notified(plan: Plan, fired: Fired, until: float) -> dict[str, tuple[Firing, ...]]:
    """Return the firings with who held them back, and when they were told.

    A group is told `group_wait` after an alert began, then every `group_interval`: an effect is held back for as
    long as a cause with the same kept labels fires at each of these times. What is in burn-in is told to nobody.
    """
    spec = plan.spec
    causes: dict[str, list[str]] = {}
    for source, targets in plan.targets.items():
        for target in targets:
            causes.setdefault(target, []).append(source)
    observed = {mode.name for mode in spec.measurable if mode.observe}
    return {
        name: tuple(
            firing if name in observed else _told(spec, firing, _of(causes.get(name, ()), fired), until)
            for firing in firings
        )
        for name, firings in fired.items()
    }


def _of(names: Sequence[str], fired: Fired) -> list[tuple[str, Firing]]:
    return [(name, firing) for name in names for firing in fired.get(name, ())]


def _told(spec: Spec, firing: Firing, causes: list[tuple[str, Firing]], until: float) -> Firing:
    at = firing.start + spec.timing.group_wait
    held: dict[str, None] = {}
    while at < (until if firing.end is None else firing.end):
        holds = [name for name, cause in causes if _fires(cause, at) and _same_place(spec, firing, cause)]
        if not holds:
            return replace(firing, held_by=tuple(held), notified=at)
        held |= dict.fromkeys(holds)
        at += spec.timing.group_interval
    return replace(firing, held_by=tuple(held))


def _fires(firing: Firing, at: float) -> bool:
    return firing.start <= at and (firing.end is None or at < firing.end)


def _same_place(spec: Spec, one: Firing, other: Firing) -> bool:
    """Tell whether two alerts agree in the kept labels; an absence that lacks one is everywhere."""
    ours, theirs = dict(one.labels), dict(other.labels)
    pairs = ((ours.get(label), theirs.get(label)) for label in spec.keep)
    return all(a == b or not a or not b for a, b in pairs)
