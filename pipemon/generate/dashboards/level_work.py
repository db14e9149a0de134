"""Panels of how a stage works: what is going on in it, what gets lost in it, how old its model is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pipemon.generate.dashboards.level import Level, threshold_lines
from pipemon.generate.dashboards.panels import Panel


@dataclass(frozen=True)
class _Drawn:
    """How a signal is drawn: its panel's title, its series' legend, the panel's unit and what it tells."""

    title: Callable[[Level], str]
    words: str
    unit: str
    about: str


_DRAWN = {
    "throughput": _Drawn(
        lambda level: f"{level.calls.capitalize()}/s",
        "all",
        "cps",
        "How many end a second, whatever their outcome. Fewer than usual: look at what calls it.",
    ),
    "in_progress": _Drawn(
        lambda level: f"{level.calls.capitalize()} in progress",
        "in progress",
        "short",
        "How many have begun and not ended, on average. If it rises while calls/s does not, each takes longer.",
    ),
    "load": _Drawn(
        lambda _: "Load",
        "busy",
        "percentunit",
        "Share of the workers that were busy. Near 100% calls begin to wait: add workers, or send fewer calls.",
    ),
    "cpu": _Drawn(
        lambda _: "Processor",
        "cores",
        "short",
        "Processor cores that the stage's own threads kept busy. More for as many calls: look at its input's size.",
    ),
    "unaccounted_ratio": _Drawn(
        lambda _: "Items unaccounted for",
        "unaccounted for",
        "percentunit",
        "Share of the items that came in and came out in no way, or came out and never in. Look at what its code "
        "does with a batch.",
    ),
    "age": _Drawn(
        lambda _: "Age of the model",
        "oldest version called",
        "s",
        "Time since the oldest model that is still called was trained.",
    ),
}


def work_panels(level: Level) -> tuple[Panel, ...]:
    """Return a panel for each of these signals that a failure mode watches."""
    found = []
    for signal, drawn in _DRAWN.items():
        if watches := level.watching(signal):
            queries = level.recorded(watches, drawn.words)
            lines = threshold_lines(watches)
            panel = level.panel(signal, drawn.title(level), drawn.about, queries, watches, unit=drawn.unit, lines=lines)
            found.append(panel)
    return tuple(found)
