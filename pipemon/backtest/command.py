"""The command `pipemon backtest`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipemon.errors import OptionError
from pipemon.parameters import Duration, Moment, TimeScale

if TYPE_CHECKING:
    from pipemon.backtest.history import Period
    from pipemon.prometheus import Prometheus
    from pipemon.spec.model import Spec

_DAY = 86400.0
_PATIENCE = 130.0  # a little more than the two minutes that Prometheus gives a query


@click.command(short_help="Say when each failure mode would have fired.")
@click.argument("specs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--url", required=True, help="Root URL of the Prometheus that has the history.")
@click.option("--days", default=30.0, show_default=True, type=click.FloatRange(0, min_open=True), help="Up to --to.")
@click.option("--from", "start", type=Moment(), help="Where the period begins, instead of --days.")
@click.option("--to", "end", type=Moment(), help="Where it ends; now by default.")
@click.option("--step", type=Duration(), help="Evaluate less often than the rules do: faster, and less exact.")
@click.option("--budget", "allowed", default="1/week", show_default=True, help="For `auto`: 2/day, 1/month.")
@click.option("--write", is_flag=True, help="Write the thresholds that are chosen for `auto` into the files.")
@click.option("--time-scale", default=1.0, type=TimeScale(), help="That of `pipemon generate`.")
def backtest(
    specs: tuple[Path, ...],
    url: str,
    days: float,
    start: float | None,
    end: float | None,
    step: float | None,
    allowed: str,
    write: bool,
    time_scale: float,
) -> None:
    """Say of each failure mode when it would have fired, for how long, and how often a week.

    Asks for exported series only: the rules need not have been loaded. For `above: auto` and `below: auto` the
    smallest threshold within the budget is chosen.
    """
    from pipemon.backtest.history import Period  # noqa: PLC0415
    from pipemon.backtest.replay import evaluations, queries, replay  # noqa: PLC0415
    from pipemon.backtest.report import report  # noqa: PLC0415
    from pipemon.backtest.tuning import budget  # noqa: PLC0415
    from pipemon.generate.inhibition import plan  # noqa: PLC0415
    from pipemon.generate.rules import rules  # noqa: PLC0415
    from pipemon.prometheus import Prometheus  # noqa: PLC0415
    from pipemon.spec.load import load_all  # noqa: PLC0415
    from pipemon.spec.scale import scaled  # noqa: PLC0415

    until = time.time() if end is None else end
    since = until - days * _DAY if start is None else start
    if since >= until:
        raise click.UsageError("the period ends before it begins")
    try:
        rate = budget(allowed)
    except ValueError as error:
        raise click.UsageError(f"--budget: {error}") from None
    period, prometheus = Period(since, until), Prometheus(url, _PATIENCE)
    loaded = load_all(specs)
    changed = [_tuned(spec, prometheus, period, rate, write=write) for spec in loaded]
    if any(changed):
        loaded = load_all(specs)
    for spec in loaded:
        made = plan(scaled(spec, time_scale))
        every = evaluations(rules(made.spec), step)
        count = queries(every, period)
        with click.progressbar(length=count, label=f"{spec.pipeline}: asking Prometheus", file=sys.stderr) as bar:
            found = replay(made, prometheus, period, every, lambda: bar.update(1))
        for line in report(found):
            click.echo(line)


@click.command(short_help="Say which failure modes never fired, most, or together.")
@click.argument("specs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--url", required=True, help="Root URL of the Prometheus that has the rules.")
@click.option("--days", default=30.0, show_default=True, type=click.FloatRange(0, min_open=True), help="Up to --to.")
@click.option("--to", "end", type=Moment(), help="Where the period ends; now by default.")
def review(specs: tuple[Path, ...], url: str, days: float, end: float | None) -> None:
    """Say which failure modes never fired, fired most, or always fired together: what a team can prune."""
    from pipemon.backtest.history import Period, pieces  # noqa: PLC0415
    from pipemon.backtest.review import review as lines_of  # noqa: PLC0415
    from pipemon.backtest.review import reviewed, step_of  # noqa: PLC0415
    from pipemon.prometheus import Prometheus  # noqa: PLC0415
    from pipemon.spec.load import load_all  # noqa: PLC0415

    until = time.time() if end is None else end
    period, prometheus = Period(until - days * _DAY, until), Prometheus(url, _PATIENCE)
    for spec in load_all(specs):
        count = pieces(period, step_of(spec))
        with click.progressbar(length=count, label=f"{spec.pipeline}: asking Prometheus", file=sys.stderr) as bar:
            found = reviewed(spec, prometheus, period, lambda: bar.update(1))
        for line in lines_of(found):
            click.echo(line)


def _tuned(spec: Spec, prometheus: Prometheus, period: Period, rate: float, *, write: bool) -> bool:
    """Choose what is `auto`, and say so; tell whether it is in the files now."""
    from pipemon.backtest.report import times  # noqa: PLC0415
    from pipemon.backtest.tuning import chosen, undecided  # noqa: PLC0415

    modes = undecided(spec)
    if not modes:
        return False
    label = f"{spec.pipeline}: choosing thresholds"
    with click.progressbar(modes, label=label, file=sys.stderr) as bar:
        choices = [chosen(spec, mode, prometheus, period, rate) for mode in bar]
    for choice in choices:
        fired = f"have fired {times(choice.count)}" if choice.count else "never have fired"
        told = choice.why or f"{choice.key} {choice.written} would {fired}"
        click.echo(f"{spec.pipeline}: {choice.mode}: {told}")
    found = {choice.mode: choice.written for choice in choices if choice.written}
    if not write or not found:
        click.echo("  --write puts them into the file" if found else "  no threshold can be chosen")
        return False
    for path in _files(spec, found):
        click.echo(f"  wrote {path}")
    return True


def _files(spec: Spec, thresholds: dict[str, str]) -> list[Path]:
    """Write thresholds into the files that have their failure modes; return those that changed."""
    from pipemon.generate.output import write  # noqa: PLC0415
    from pipemon.spec.rewriting import with_thresholds  # noqa: PLC0415
    from pipemon.spec.syntax import text_of  # noqa: PLC0415

    texts = {path: text_of(path) for path in map(Path, spec.files)}
    changed = {path: with_thresholds(text, str(path), thresholds) for path, text in texts.items()}
    changed = {path: text for path, text in changed.items() if text != texts[path]}
    for path, text in changed.items():
        try:
            write(path.parent, {path.name: text})
        except OSError as error:
            raise OptionError(f"cannot write {path}: {error.strerror or error}") from None
    return list(changed)
