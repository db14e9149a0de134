"""Whether what was observed is what had to come of the faults. Times are seconds since the demo's start."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pipemon.demo.script import Step
from pipemon.receiver.payload import Status

GOOD_SECONDS = 30.0
"""The least that the good period lasts."""


@dataclass(frozen=True)
class Notified:
    """One alert of one notification; `name` is its failure mode, or the alert's name where it has none."""

    at: float
    status: Status
    name: str


@dataclass(frozen=True)
class Injected:
    """A fault that was played.

    `ended` is when it was taken away, None where it was left. `held_back` are the failure modes that
    Alertmanager told to be inhibited meanwhile. `rolled_back` tells that the receiver took it away.
    """

    step: Step
    began: float
    ended: float | None
    held_back: frozenset[str]
    rolled_back: bool = False


@dataclass(frozen=True)
class Observed:
    """All that was observed: the good period, the faults in their order, every notification in its order."""

    good_began: float
    good_ended: float
    injected: tuple[Injected, ...]
    notified: tuple[Notified, ...]
    inhibition: bool = True


@dataclass(frozen=True)
class Row:
    """One line of the table: `seconds` from the fault to its notification, and from its end to `resolved`."""

    fault: str
    alert: str
    seconds: float | None
    held_back: tuple[str, ...]
    ended: bool
    resolved: float | None
    rolled_back: bool = False


def rows(observed: Observed) -> list[Row]:
    """Return the table: the first right alert of each fault, or what else was notified, or nothing."""
    table = []
    for injected, notified in _by_fault(observed):
        mode = injected.step.fault.failure_mode
        first = _first(notified, "firing", mode)
        resolved = _first(notified, "resolved", mode, after=first)
        others = sorted({note.name for note in notified if note.status == "firing"} - {mode})
        table.append(
            Row(
                fault=injected.step.title,
                alert=", ".join([mode] * (first is not None) + others),
                seconds=None if first is None else first.at - injected.began,
                held_back=tuple(sorted(injected.held_back)),
                ended=injected.ended is not None,
                resolved=resolved.at - injected.ended if resolved and injected.ended is not None else None,
                rolled_back=injected.rolled_back,
            )
        )
    return table


def failures(observed: Observed) -> list[str]:
    """Return a sentence for each thing that is not as it has to be; none if the demo succeeded."""
    return [*_good_period(observed), *(told for found in _by_fault(observed) for told in _fault(observed, *found))]


def settled(injected: Injected, notified: Iterable[Notified]) -> bool:
    """Tell whether every failure mode that was notified since the fault began has resolved."""
    last = {note.name: note.status for note in notified if note.at >= injected.began}
    return "firing" not in last.values()


def _good_period(observed: Observed) -> list[str]:
    told = []
    lasted = observed.good_ended - observed.good_began
    if lasted < GOOD_SECONDS:
        told.append(f"The good period lasted {lasted:.0f} s, not {GOOD_SECONDS:.0f} s.")
    first = observed.injected[0].began if observed.injected else float("inf")
    names = {note.name for note in observed.notified if note.at < first}
    return told + [f"{name} was notified in the good period." for name in sorted(names)]


def _fault(observed: Observed, injected: Injected, notified: list[Notified]) -> list[str]:
    fault, title = injected.step.fault, injected.step.fault.title
    firing = _first(notified, "firing", fault.failure_mode)
    told = []
    if firing is None:
        told.append(f"{fault.failure_mode} was not notified for {title}.")
    elif injected.ended is not None and firing.at > injected.ended:
        told.append(f"{fault.failure_mode} was notified only after {title} had ended.")
    expected = {fault.failure_mode} | (set() if observed.inhibition else set(fault.effects))
    for name in sorted(_names(notified, "firing") - expected):
        told.append(f"{name} was notified during {title}, and should not have been.")
    # Alertmanager tells of an end even where it held the beginning back, up to 15 minutes later.
    before = (other for other in observed.injected if other.began <= injected.began)
    held_back = {name for other in before for name in (*other.held_back, *other.step.fault.effects)}
    for name in sorted(_names(notified, "resolved") - expected - held_back):
        told.append(f"{name} was notified as resolved during {title}, and should not have been.")
    if fault.needs_effects:
        effects = " or ".join(fault.effects)
        if observed.inhibition and not injected.held_back & set(fault.effects):
            told.append(f"No effect of {title} ({effects}) fired and was held back.")
        if not observed.inhibition and not _names(notified, "firing") & set(fault.effects):
            told.append(f"No effect of {title} ({effects}) was notified, though nothing held it back.")
    if fault.rolled_back and not injected.rolled_back:
        told.append(f"The receiver did not roll back after {title}.")
    if not observed.inhibition and injected.held_back:
        told.append(f"{', '.join(sorted(injected.held_back))} was held back without inhibition rules.")
    if injected.ended is not None:
        last = {note.name: note.status for note in notified}
        told += [
            f"{name} did not resolve after {title}." for name, status in sorted(last.items()) if status == "firing"
        ]
    return told


def _by_fault(observed: Observed) -> list[tuple[Injected, list[Notified]]]:
    """Return each fault with what was notified from its beginning to that of the next."""
    starts = [injected.began for injected in observed.injected]
    return [
        (injected, [note for note in observed.notified if injected.began <= note.at < end])
        for injected, end in zip(observed.injected, [*starts[1:], float("inf")], strict=True)
    ]


def _names(notified: Iterable[Notified], status: Status) -> set[str]:
    return {note.name for note in notified if note.status == status}


def _first(notified: Iterable[Notified], status: Status, name: str, after: Notified | None = None) -> Notified | None:
    since = after.at if after else float("-inf")
    found = (note for note in notified if (note.status, note.name) == (status, name) and note.at >= since)
    return next(found, None)
