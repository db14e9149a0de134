"""Panels of how a stage works: what is going on in it, what gets lost in it, how old its model is."""

from __future__ import annotations

from pipemon.generate.dashboards.level import Level, threshold_lines
from pipemon.generate.dashboards.panels import Panel
from pipemon.spec.signals import SIGNALS, Signal, signal_in

_UNITS = {"calls/s": "cps", "ratio": "percentunit", "seconds": "s"}


def work_panels(level: Level) -> tuple[Panel, ...]:
    """Return a panel for each signal that a failure mode watches and that the rows do not show anyhow."""
    found = []
    for name in SIGNALS:
        signal, watches = signal_in(level.spec, name), level.watching(name)
        if signal.panel is not None and watches:
            title, legend, about = signal.panel
            scores = {watch.condition.argument for watch in watches} if signal.argument == "score" else {""}
            title += f": {scores.pop()}" if len(scores) == 1 else ""
            found.append(
                level.panel(
                    signal.name,
                    title.format(calls=level.calls.capitalize()),
                    about,
                    level.recorded(watches, legend),
                    watches,
                    unit=_unit(signal),
                    lines=threshold_lines(watches),
                )
            )
    return tuple(found)


def _unit(signal: Signal) -> str:
    return _UNITS.get(signal.unit, "short")
