"""What the demo shows: live on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from pipemon.demo.numbers import StageNumbers
from pipemon.demo.verdict import Row
from pipemon.receiver.payload import Status
from pipemon.units import figure

_PLAIN_EVERY = 10.0
"""Seconds between two lines of numbers where there is no terminal."""


class Screen:
    """Phases, numbers and notifications as they come. Texts are shown as they are, without markup."""

    def __init__(self, console: Console | None = None) -> None:
        console = console or Console(highlight=False)
        if not console.is_terminal:
            console = Console(file=console.file, width=120, highlight=False, no_color=True)
        self._console = console
        self._began = time.monotonic()
        self._phase = ""
        self._phase_began = self._began
        self._told = self._began
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.update(Text())
            self._live.stop()

    def phase(self, title: str) -> None:
        """Begin a phase."""
        self._phase, self._phase_began = title, time.monotonic()
        self._print(Text(title, style="bold"))

    def say(self, text: str) -> None:
        """Say what is done or seen."""
        self._print(Text(text, style="dim"))

    def notification(self, status: Status, text: str) -> None:
        """Show an alert's line as the receiver would print it."""
        self._print(Text(f"  {text}", style="red" if status == "firing" else "green"))

    def numbers(self, stages: Sequence[StageNumbers], alerts: Sequence[str]) -> None:
        """Show the stages' numbers, and the alerts that are pending, firing or held back."""
        now = time.monotonic()
        waiting = "; ".join(alerts)
        if self._live:
            seconds = f"{self._phase}, {now - self._phase_began:.0f} s"
            alerts_line = Text(f"Alerts: {waiting or 'none'}")
            self._live.update(
                Group(Rule(Text(seconds), align="left"), _numbers_table(stages), alerts_line), refresh=True
            )
        elif stages and now - self._told >= _PLAIN_EVERY:
            self._told = now
            told = " | ".join(_numbers_line(stage) for stage in stages)
            self._print(Text(f"  {told}{waiting and f' | alerts: {waiting}'}"))

    def table(self, rows: Sequence[Row]) -> None:
        """Show what came of each fault."""
        table = Table(title="What came of each fault", title_justify="left")
        for title in ("Injected fault", "Alert that fired", "Fault to notification", "Held back", "Resolved"):
            table.add_column(title, justify="right" if title.startswith("Fault") else "left")
        for row in rows:
            table.add_row(*(Text(cell) for cell in cells(row)))
        self._console.print(table)

    def verdict(self, failures: Sequence[str]) -> None:
        """Say whether all came as it has to, or what failed."""
        for failure in failures:
            self._console.print(Text(f"Failed: {failure}", style="bold red"), soft_wrap=True)
        if not failures:
            text = "All came as it has to: every fault was notified under its name, and nothing else was."
            self._console.print(Text(text, style="bold green"), soft_wrap=True)

    def _print(self, text: Text) -> None:
        now = time.monotonic() - self._began
        self._console.print(Text.assemble((f"{now:5.1f} s ", "dim"), text), soft_wrap=True)


def cells(row: Row) -> tuple[str, str, str, str, str]:
    """Return a row's cells as they are shown."""
    resolved = f"after {row.resolved:.0f} s" if row.resolved is not None else "no" if row.ended else "left in place"
    resolved += ", rolled back" if row.rolled_back else ""
    return (
        row.fault,
        row.alert or "none",
        "never" if row.seconds is None else f"{row.seconds:.1f} s",
        ", ".join(row.held_back) or "none",
        resolved,
    )


def _numbers_table(stages: Sequence[StageNumbers]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("Stage", "Calls/s", "p95", "Null", "Redo", "Means"):
        table.add_column(title)
    for stage in stages:
        means = ", ".join(f"{name} {figure(value, 3)}" for name, value in stage.means)
        table.add_row(Text(stage.stage), *map(Text, _cells(stage)), Text(means))
    return table


def _numbers_line(stage: StageNumbers) -> str:
    calls, p95, null, redo = _cells(stage)
    means = "".join(f", {name} {figure(value, 3)}" for name, value in stage.means)
    return f"{stage.stage}: {calls} calls/s, p95 {p95}, null {null}, redo {redo}{means}"


def _cells(stage: StageNumbers) -> tuple[str, str, str, str]:
    def shown(value: float | None, pattern: str, factor: float = 1.0) -> str:
        return "-" if value is None else pattern.format(value * factor)

    return (
        shown(stage.calls_per_second, "{:.1f}"),
        shown(stage.p95, "{:.0f} ms", 1000),
        shown(stage.null_ratio, "{:.0f}%", 100),
        shown(stage.redo_ratio, "{:.0f}%", 100),
    )
