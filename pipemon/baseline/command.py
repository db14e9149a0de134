"""`pipemon baseline`: learn a baseline from data or a good period, show one, say what moved between two."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipemon.errors import UnavailableError, nearest
from pipemon.parameters import Duration, Moment
from pipemon.units import counted, duration

if TYPE_CHECKING:
    from pipemon.spec.baseline import Baseline
    from pipemon.spec.model import Spec
    from pipemon.topology import PipelineShape

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


class _LearnByDefault(click.Group):
    """A group whose commands need not be named to learn: `pipemon baseline speech.yaml --url ...`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `learn` before what is no command's name, nor nearly one."""
        if args and args[0] not in {*self.commands, *ctx.help_option_names}:
            if len(args[0]) > 2 and not Path(args[0]).exists() and (hint := nearest(args[0], self.commands)):
                ctx.fail(f"{args[0]!r} is no file and no command{hint}")
            args = ["learn", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_LearnByDefault, short_help="Learn, show or compare the references of features.")
def baseline() -> None:
    """Learn each feature's reference from data or a good period, show it, or compare two.

    `pipemon baseline SPEC --url ...` is short for `pipemon baseline learn SPEC --url ...`.
    """


@baseline.command()
@click.argument("specs", nargs=-1, type=click.Path(path_type=Path))
@click.option("--url", help="Root URL of the Prometheus that saw a good period.")
@click.option("--over", type=Duration(), help="Length of the good period, up to now: 30m, 7d.")
@click.option("--from", "start", type=Moment(), help="Its beginning, instead of --over.")
@click.option("--to", "end", type=Moment(), help="Its end; now by default.")
@click.option("--from-data", "data", type=_FILE, help="Training data instead: .parquet, .csv, .npz or .npy.")
@click.option("--column", "columns", multiple=True, metavar="NAME=FEATURE", help="A column's feature; repeatable.")
@click.option("--time", "when", metavar="COLUMN", help="The column that says when each row was; it gives the order.")
@click.option("--code", metavar="MODULE:PIPELINE", help="Decorated code, instead of SPECS.")
@click.option("--model-version", "version", help="The model version it is the reference of; by default the code's.")
@click.option("--out", type=click.Path(path_type=Path), help="File to write; by default the one that SPECS name.")
def learn(
    specs: tuple[Path, ...],
    url: str | None,
    over: float | None,
    start: float | None,
    end: float | None,
    data: Path | None,
    columns: tuple[str, ...],
    when: str | None,
    code: str | None,
    version: str | None,
    out: Path | None,
) -> None:
    """Learn the reference of each feature: its bins with their shares, mean, spread, quantiles, and what is missing."""
    from pipemon.baseline.display import coarse  # noqa: PLC0415
    from pipemon.baseline.files import save  # noqa: PLC0415

    if (url is None) == (data is None):
        raise click.UsageError("say what to learn from: --url of a Prometheus, or --from-data of a file")
    if bool(specs) == (code is not None):
        raise click.UsageError("say whose features they are: SPECS, or --code module:pipeline")
    if data is not None:
        shape, path = _whose(specs, code)
        found = _from_data(shape, data, columns, when, version)
        told = f"from {counted(found.rows, 'row')}"
    else:
        if columns or when or code:
            raise click.UsageError("--column, --time and --code are of --from-data")
        assert url is not None
        since, until = _period(over, start, end)
        spec = _loaded(specs)
        path = _named(spec)
        found = _from_prometheus(spec, url, since, until, version)
        told = f"over {duration(until - since)}"
        for line in coarse(found):
            click.echo(line)
    path = out or path
    if path is None:
        raise click.UsageError(f"{', '.join(map(str, specs)) or code} names no `baseline:`; add one, or give --out")
    try:
        save(found, path)
    except OSError as error:
        raise UnavailableError(f"cannot write {error.filename or path}: {(error.strerror or '').lower()}") from None
    click.echo(f"Learned {counted(len(found.features), 'feature')} {told}; wrote {path}")


@baseline.command()
@click.argument("file", type=_FILE)
def show(file: Path) -> None:
    """Print a baseline, with a histogram of each feature."""
    from pipemon.baseline.display import shown  # noqa: PLC0415
    from pipemon.spec.baseline import load  # noqa: PLC0415

    for line in shown(load(file)):
        click.echo(line)


@baseline.command()
@click.argument("old", type=_FILE)
@click.argument("new", type=_FILE)
def diff(old: Path, new: Path) -> None:
    """Say which features moved from OLD to NEW, by how much, and whether chance explains it."""
    from pipemon.baseline.display import differences  # noqa: PLC0415
    from pipemon.spec.baseline import load  # noqa: PLC0415

    for line in differences(load(old), load(new)):
        click.echo(line)


def _period(over: float | None, start: float | None, end: float | None) -> tuple[float, float]:
    until = time.time() if end is None else end
    if (over is None) == (start is None):
        raise click.UsageError("say how long the good period is: --over 30m, or --from and --to")
    since = until - over if over is not None else start
    assert since is not None
    if since >= until:
        raise click.UsageError("the good period ends before it begins")
    return since, until


def _loaded(specs: tuple[Path, ...]) -> Spec:
    from pipemon.spec.load import load_all  # noqa: PLC0415

    loaded, *more = load_all(specs)
    if more:
        raise click.UsageError("a baseline is of one pipeline; name the files of one")
    return loaded


def _named(spec: Spec) -> Path | None:
    return Path(spec.files[0]).parent / spec.baseline if spec.baseline else None


def _whose(specs: tuple[Path, ...], code: str | None) -> tuple[PipelineShape, Path | None]:
    """Return the pipeline's features, and the file that its spec names."""
    from pipemon.baseline.period import shape_of_spec  # noqa: PLC0415
    from pipemon.spec.code import CodeError, shape_of  # noqa: PLC0415

    if code is None:
        spec = _loaded(specs)
        return shape_of_spec(spec), _named(spec)
    try:
        return shape_of(code, Path()), None
    except CodeError as error:
        raise click.UsageError(str(error)) from None


def _from_data(
    shape: PipelineShape, data: Path, columns: tuple[str, ...], when: str | None, version: str | None
) -> Baseline:
    from pipemon.baseline.data_files import read  # noqa: PLC0415
    from pipemon.baseline.display import left_out  # noqa: PLC0415
    from pipemon.baseline.summary import features_of  # noqa: PLC0415
    from pipemon.baseline.tables import learn as of_table  # noqa: PLC0415
    from pipemon.baseline.tables import match, names_of  # noqa: PLC0415

    pairs = [column.partition("=") for column in columns]
    for name, equals, feature in pairs:
        if not (name and equals and feature):
            raise click.BadOptionUsage("--column", f"--column: expected NAME=FEATURE, found {name}{equals}{feature}")
        if sum(each == name for each, _, _ in pairs) > 1:
            raise click.BadOptionUsage("--column", f"--column: {name} is given twice, and is one feature's")
    of = {name: feature for name, _, feature in pairs}
    table = read(data)
    learned = of_table(shape, table, columns=of, time=when, version=version, source=data.name)
    columns_of = match(shape, [name for name in names_of(table) if name != when], of)
    for line in left_out(columns_of, [key for key in features_of(shape) if key not in learned.features]):
        click.echo(line)
    return learned


def _from_prometheus(spec: Spec, url: str, since: float, until: float, version: str | None) -> Baseline:
    from pipemon.baseline.period import learn as of_period  # noqa: PLC0415
    from pipemon.prometheus import Prometheus  # noqa: PLC0415

    return of_period(spec, Prometheus(url), since, until, version)
