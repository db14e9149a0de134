"""The command `pipemon backtest`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from pipemon.parameters import Duration, Moment, TimeScale

_DAY = 86400.0
_PATIENCE = 130.0  # a little more than the two minutes that Prometheus gives a query


@click.command()
@click.argument("specs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--url", required=True, help="Root URL of the Prometheus that has the history.")
@click.option("--days", default=30.0, show_default=True, type=click.FloatRange(0, min_open=True), help="Up to --to.")
@click.option("--from", "start", type=Moment(), help="Where the period begins, instead of --days.")
@click.option("--to", "end", type=Moment(), help="Where it ends; now by default.")
@click.option("--step", type=Duration(), help="Evaluate less often than the rules do: faster, and less exact.")
@click.option("--time-scale", default=1.0, type=TimeScale(), help="That of `pipemon generate`.")
def backtest(
    specs: tuple[Path, ...],
    url: str,
    days: float,
    start: float | None,
    end: float | None,
    step: float | None,
    time_scale: float,
) -> None:
    """Say of each failure mode when it would have fired, for how long, and how often a week.

    Asks for exported series only: the rules need not have been loaded.
    """
    from pipemon.backtest.history import Period  # noqa: PLC0415
    from pipemon.backtest.replay import evaluations, queries, replay  # noqa: PLC0415
    from pipemon.backtest.report import report  # noqa: PLC0415
    from pipemon.generate.inhibition import plan  # noqa: PLC0415
    from pipemon.generate.rules import rules  # noqa: PLC0415
    from pipemon.prometheus import Prometheus  # noqa: PLC0415
    from pipemon.spec.load import load_all  # noqa: PLC0415
    from pipemon.spec.scale import scaled  # noqa: PLC0415

    until = time.time() if end is None else end
    since = until - days * _DAY if start is None else start
    if since >= until:
        raise click.UsageError("the period ends before it begins")
    period, prometheus = Period(since, until), Prometheus(url, _PATIENCE)
    for spec in load_all(specs):
        made = plan(scaled(spec, time_scale))
        every = evaluations(rules(made.spec), step)
        count = sum(queries(each, period) for each in every)
        with click.progressbar(length=count, label=f"{spec.pipeline}: asking Prometheus", file=sys.stderr) as bar:
            found = replay(made, prometheus, period, every, lambda: bar.update(1))
        for line in report(found):
            click.echo(line)
