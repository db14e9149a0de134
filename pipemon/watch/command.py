"""The command `pipemon watch`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipemon.errors import PipemonError, UnavailableError, nearest
from pipemon.parameters import Duration

if TYPE_CHECKING:
    from rich.console import Console

    from pipemon.spec.model import Spec
    from pipemon.watch.reading import Alert, Reading
    from pipemon.watch.sources import Source
    from pipemon.watch.state import State


@click.command(short_help="Draw the cascade in the terminal, live.")
@click.argument("url", default="http://127.0.0.1:9464/metrics")
@click.option(
    "--spec", "specs", multiple=True, type=click.Path(path_type=Path), help="Failure modes to judge by; repeatable."
)
@click.option("--pipeline", default="", help="Show this one only.")
@click.option("--over", type=Duration(), help="How far the numbers look back; by default 1m, or 4 scrapes.")
@click.option("--every", type=Duration(), default="2s", show_default=True, help="Time between two looks.")
@click.option("--once", is_flag=True, help="Print one picture and end.")
def watch(url: str, specs: tuple[Path, ...], pipeline: str, over: float | None, every: float, once: bool) -> None:
    """Draw the cascade in the terminal, live, with the broken stage lit.

    URL is a process's page, ending in /metrics, or a Prometheus. A page needs two looks: the second comes after
    --every. Ctrl-C ends it.
    """
    from rich.console import Console  # noqa: PLC0415

    from pipemon.watch.sources import Page, source  # noqa: PLC0415

    loaded = _specs(specs)
    interval = max((spec.timing.scrape_interval for spec in loaded), default=None)
    found = source(url, over, {label: name for spec in loaded for label, name in spec.labels}, interval, _batch(loaded))

    def seen() -> State:
        return look(found, loaded, pipeline)

    console = Console(highlight=False)
    try:
        shown = seen()
        if once:
            if isinstance(found, Page):
                time.sleep(every)
                shown = seen()
            _print(console, shown)
        elif console.is_terminal and not console.is_dumb_terminal:
            _live(console, seen, shown, every)
        else:
            _lines(console, seen, shown, every)
    except KeyboardInterrupt:
        # That is how it ends.
        return


def _specs(paths: tuple[Path, ...]) -> tuple[Spec, ...]:
    if not paths:
        return ()
    from pipemon.spec.load import load_all  # noqa: PLC0415

    return load_all(paths)


def _batch(specs: tuple[Spec, ...]) -> frozenset[str]:
    return frozenset(spec.pipeline for spec in specs if spec.schedule is not None)


def look(source: Source, specs: tuple[Spec, ...] = (), only: str = "") -> State:
    """Return the state of what a source has, of the pipeline `only` if it is named. Raises UnavailableError."""
    from pipemon.prometheus import public  # noqa: PLC0415
    from pipemon.watch.state import State, pipelines_of, state  # noqa: PLC0415

    reading = source.read()
    known = {spec.pipeline: spec.stages for spec in specs}
    # A page may be of a process that has nothing to do with them; a Prometheus is to have them.
    names = tuple(dict.fromkeys((*pipelines_of(reading), *(() if reading.seen is None else known))))
    if only:
        if only not in names:
            raise UnavailableError(
                f"there is nothing of the pipeline {only} at {public(source.url)}{nearest(only, names)}"
            )
        names = (only,)
    # What a gateway has of a batch job does not rise.
    batch = _batch(specs)
    alerts = _alerts(reading, specs)
    judged = {name: alerts is not None and (reading.alerts is not None or name in known) for name in names}
    pipelines = [
        state(
            reading.of_last_run() if name in batch else reading,
            name,
            alerts if judged[name] else None,
            known.get(name, ()),
        )
        for name in names
    ]
    told = _judged_by(reading, specs, any(judged.values()))
    return State(tuple(pipelines), reading.at, reading.seconds, public(source.url), told)


def _alerts(reading: Reading, specs: tuple[Spec, ...]) -> tuple[Alert, ...] | None:
    if reading.seen is not None:
        return reading.alerts
    from pipemon.watch.judge import would_fire  # noqa: PLC0415

    return tuple(alert for spec in specs for alert in would_fire(spec, reading))


def _judged_by(reading: Reading, specs: tuple[Spec, ...], judged: bool) -> str:
    if reading.alerts is not None:
        return "What fires is Prometheus' word."
    lit = "Lit: over 5% errors or null outputs, or p99 over budget"
    if reading.seen is not None:
        return f"No failure mode's rule is loaded there: nothing can fire. {lit}."
    if not judged:
        return f"{lit}; --spec names your failure modes."
    from pipemon.watch.judge import untold  # noqa: PLC0415

    names = [name for spec in specs for name in untold(spec)]
    return f"What would fire if it lasted. Not told by a page: {', '.join(names) or 'nothing'}."


def _print(console: Console, state: State) -> None:
    from pipemon.watch.frame import frame  # noqa: PLC0415

    console.print(frame(state, console.width, ascii_only=console.options.ascii_only))


def _lines(console: Console, look: Callable[[], State], shown: State, every: float) -> None:
    """Print picture after picture: a file or another program reads it."""
    while True:
        _print(console, shown)
        time.sleep(every)
        shown = _again(look, shown)


def _live(console: Console, look: Callable[[], State], shown: State, every: float) -> None:
    from rich.live import Live  # noqa: PLC0415

    from pipemon.watch.frame import frame  # noqa: PLC0415

    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            drawn_for = None
            until = time.monotonic() + every
            # Drawn anew when the window's size changes, not only when there is news.
            while (left := until - time.monotonic()) > 0:
                if console.size != drawn_for:
                    drawn_for = console.size
                    width, height = drawn_for
                    live.update(frame(shown, width, height, console.options.ascii_only), refresh=True)
                time.sleep(min(left, 0.2))
            shown = _again(look, shown)


def _again(look: Callable[[], State], before: State) -> State:
    """Look again; where that fails, what was seen before stays, with the reason."""
    try:
        return look()
    except PipemonError as error:
        return replace(before, trouble=str(error))
