"""A drill from beginning to end: begun, watched, ended, watched again, recorded."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil

from pipemon.drill.effects import Request, length
from pipemon.drill.record import Drilled
from pipemon.drill.service import Service
from pipemon.drill.watch import Watch
from pipemon.errors import OptionError, UnavailableError
from pipemon.spec.model import FailureMode, Spec
from pipemon.units import duration


@dataclass(frozen=True)
class Drill:
    """What is to be seen: of a spec with the times that run, one failure mode by one request."""

    spec: Spec
    mode: FailureMode
    request: Request
    share: float


def play(drill: Drill, services: Sequence[Service], watch: Watch, rule: str, say: Callable[[str], None]) -> Drilled:
    """Play a drill and return what came of it; however it ends, the services are well again.

    Raises OptionError where a service allows less, and UnavailableError where one, or a server, is not there.
    """
    spec, mode, asked = drill.spec, drill.mode, drill.request
    seconds = float(ceil(length(spec, mode)))
    for service in services:
        allowed = service.allowed(spec.pipeline)
        if seconds > allowed["longest"]:
            told = f"{service.url} allows {duration(allowed['longest'])}, and {mode.name} needs {duration(seconds)}"
            raise OptionError(f"{told}: allow_drills(longest=...)")
        if drill.share > allowed["most"]:
            raise OptionError(f"{service.url} allows a share of {allowed['most']:g} of the calls, not {drill.share:g}")
    watch.check()
    at = datetime.now(UTC).isoformat(timespec="seconds")
    pause = max(0.1, min(2.0, spec.timing.scrape_interval / 4))
    try:
        watch.begin()
        for service in services:
            service.begin(spec.pipeline, asked.stage, asked.effects, seconds, drill.share, asked.track)
        what = f"{', '.join(asked.effects)} on {drill.share:.0%} of the calls of {asked.stage}"
        say(f"{what}, for {duration(seconds)} at most")
        _until_told(watch, services, seconds, spec.timing.group_wait + 2 * spec.interval(mode), pause, say)
    finally:
        effects = 0
        for service in services:
            with suppress(UnavailableError):  # it ends by itself soon
                effects += service.end()
    say(f"ended; {effects} effects")
    if watch.firing is not None and not effects:
        say("though no call had an effect: the alert came by itself")
    if why := watch.unsent():
        say(why)
    resolved = _until_gone(watch, spec, mode, pause) if watch.pending is not None else None
    say("resolved" if resolved is not None else "not resolved yet" if watch.firing is not None else "it did not fire")
    pending, firing, notified, resolved = map(_rounded, (watch.pending, watch.firing, watch.notified, resolved))
    return Drilled(at, _outcome(watch), asked.effects, rule, pending, firing, notified, resolved, watch.held_back_by)


def _until_told(
    watch: Watch, services: Sequence[Service], seconds: float, held: float, pause: float, say: Callable[[str], None]
) -> None:
    """Watch until the alert was sent, or is firing where none is sent, or the time is over."""
    told: set[str] = set()
    heard = watch.clock()
    while watch.clock() - watch.began < seconds:
        watch.look()
        for step in ("pending", "firing", "notified"):
            if (after := getattr(watch, step)) is not None and step not in told:
                told.add(step)
                say(f"{step} after {after:.1f} s")
        if watch.notified is not None or (watch.firing is not None and watch.alertmanager is None):
            return
        if watch.held_back_by and watch.firing is not None and watch.clock() - watch.began > watch.firing + held:
            say(f"held back by {watch.held_back_by}")
            return
        if watch.clock() - heard > 5:
            heard = watch.clock()
            if not all(service.renew() for service in services):
                return
        time.sleep(pause)


def _until_gone(watch: Watch, spec: Spec, mode: FailureMode, pause: float) -> float | None:
    began = watch.clock()
    patience = 1.5 * (mode.window + mode.keep_firing_for + 8 * spec.interval(mode)) + 5
    while watch.clock() - began < patience:
        if watch.gone():
            return watch.clock() - began
        time.sleep(pause)
    return None


def _outcome(watch: Watch) -> str:
    if watch.notified is not None:
        return "notified"
    if watch.firing is None:
        return "not fired"
    if watch.alertmanager is None:
        return "fired"
    return "held back" if watch.held_back_by else "not notified"


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
