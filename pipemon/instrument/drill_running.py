"""A drill under way: put into the stand-ins, counted, and taken out again whatever happens."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from threading import Event, Lock, Thread
from typing import Any, NamedTuple

from pipemon import catalogue
from pipemon.instrument.drill_effects import Injection, Swap
from pipemon.instrument.log import log_once, logger

LEASE = 30.0
"""Seconds after which a drill ends whose client has not been heard of: it may be dead."""

_LOOK = 0.2


class Place(NamedTuple):
    """Where a drill is."""

    pipeline: str
    stage: str
    track: str


class Running:
    """A drill. A thread ends it, at the latest when its time is over or its client silent."""

    def __init__(
        self, injection: Injection, place: Place, seconds: float, found: Sequence[Swap], families: Mapping[str, Any]
    ) -> None:
        self.injection = injection
        self.place = place
        self.over = Event()
        self.ended_by = ""
        self._swaps = found
        self._families = families
        self._latest = time.monotonic() + seconds
        self._ending = Lock()
        self._effects = 0
        self.heard()
        with self._ending:  # first who ends it, then what there is to end
            Thread(target=self._watch, name="pipemon-drill", daemon=True).start()
            self._show(1)
            for swap in self._swaps:
                swap.begin()

    def heard(self) -> None:
        """Go on for a while."""
        self.injection.until = min(self._latest, time.monotonic() + LEASE)

    def end(self, why: str) -> None:
        """Put back what was there. May be called twice."""
        with self._ending:
            if self.over.is_set():
                return
            self.injection.until = 0.0
            for swap in self._swaps:
                swap.end()
            self.ended_by = why
            self.over.set()
            self._show(0)
            self._count()
        logger().warning("drill %s has ended: %s; it had %d effects", self.injection.name, why, self._effects)

    def forget(self) -> None:
        """Take it out in a forked child, whose locks may be held by threads that are not there."""
        if self.injection.until:
            self.injection.until = 0.0
            for swap in self._swaps:
                swap.end()
            self._show(0)

    def state(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "name": self.injection.name,
            **self.place._asdict(),
            "active": not self.over.is_set(),
            "ended_by": self.ended_by,
            "seconds_left": 0.0 if self.over.is_set() else max(0.0, round(self._latest - time.monotonic(), 1)),
            "effects": self._effects,
        }

    def _watch(self) -> None:
        try:
            while not self.over.wait(_LOOK):
                with self._ending:
                    self._count()
                if time.monotonic() >= self._latest:
                    self.end("its time is over")
                elif time.monotonic() >= self.injection.until:
                    self.end("its client was not heard of any more")
        except Exception:  # noqa: BLE001  whatever it was, the service goes on as before
            log_once("drill", "a drill was ended by an error", exc=True)
            self.end("an error")

    def _show(self, active: int) -> None:
        self._families[catalogue.DRILL_ACTIVE.name].labels(self.place.pipeline, self.place.stage).set(active)

    def _count(self) -> None:
        changed = self.injection.changed
        kinds = changed[: len(changed)]
        del changed[: len(kinds)]
        self._effects += len(kinds)
        for kind in sorted(set(kinds)):
            family = self._families[catalogue.DRILL_EFFECTS.name]
            family.labels(self.place.pipeline, self.place.stage, kind).inc(kinds.count(kind))
