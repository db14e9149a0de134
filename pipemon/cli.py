"""The commands. Files and exit codes are here; what they do is in the packages behind."""

from __future__ import annotations

import errno
import gc
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from pipemon.backtest.command import backtest, review
from pipemon.baseline.command import baseline
from pipemon.drill.command import drill
from pipemon.errors import PipemonError, SpecError, UnavailableError
from pipemon.expected.command import expect
from pipemon.grafana_push.command import push
from pipemon.parameters import HostPort, TimeScale, Url
from pipemon.receiver.command import serve
from pipemon.slices.command import slices
from pipemon.version import __version__
from pipemon.watch.command import watch

if TYPE_CHECKING:
    from pipemon.generate.inhibition import Plan
    from pipemon.spec.model import Spec

Command = TypeVar("Command", bound=Callable[..., Any])
_SPECS = click.argument("specs", nargs=-1, required=True, type=click.Path(path_type=Path))
_ALERTMANAGER = "127.0.0.1:9093"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
_EXTRAS = {
    "aiohttp": "serve",
    "yaml": "generate",
    "promql_parser": "generate",
    "grafana_client": "grafana",
    "niquests": "grafana",
    "rich": "watch",
}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="pipemon")
def cli() -> None:
    """Multi-stage pipeline monitoring for Prometheus and Grafana.

    Begin with `pipemon init app.module:pipeline`, which writes a file of failure modes; then `check` and `generate`.
    Commands end with 0, with 1 where they found something, and with 2 for wrong usage or files, or what they could
    not reach or write.
    """


@contextmanager
def _at_one_go() -> Iterator[None]:
    """Do without the search for values that hold each other: what a command makes here, it needs to its end."""
    gc.disable()
    try:
        yield
    finally:
        # Nor are they looked through later, at the process's end above all.
        gc.freeze()
        gc.enable()


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Tell in one sentence what can't be written."""
    try:
        yield
    except OSError as error:
        raise UnavailableError(f"cannot write {error.filename or path}: {(error.strerror or '').lower()}") from None


@cli.command()
@click.argument("code", metavar="MODULE:PIPELINE")
@click.option("--out", type=click.Path(path_type=Path), help="File to write; by default <pipeline>.yaml here.")
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
def init(code: str, out: Path | None, force: bool) -> None:
    """Write a first failure-mode file from decorated code."""
    from pipemon.generate.output import write  # noqa: PLC0415
    from pipemon.generate.skeleton import skeleton  # noqa: PLC0415
    from pipemon.spec.code import CodeError, shape_of  # noqa: PLC0415

    folder = out.parent if out else Path()
    try:
        shape = shape_of(code, Path())
    except CodeError as error:
        raise click.UsageError(str(error)) from None
    path = out or folder / f"{shape.name}.yaml"
    if path.exists() and not force:
        raise click.UsageError(f"{path} exists; give --force to replace it, or --out for another")
    with _writing(path):
        write(path.parent, {path.name: skeleton(shape, code)})
    click.echo(f"Wrote {path}. Next: pipemon generate {path} --out monitoring")


@cli.command()
@click.option("--out", type=click.Path(path_type=Path), help="File to write, instead of printing it.")
def schema(out: Path | None) -> None:
    """Print the JSON Schema of failure-mode files, for editors."""
    from pipemon.generate.output import write  # noqa: PLC0415
    from pipemon.spec.schema import schema as make  # noqa: PLC0415

    text = json.dumps(make(), indent=2, ensure_ascii=False) + "\n"
    if out is None:
        click.echo(text, nl=False)
        return
    with _writing(out):
        write(out.parent, {out.name: text})
    click.echo(f"Wrote {out}. Editors with a YAML language server read it for files that begin with:")
    click.echo(f"# yaml-language-server: $schema={out}")


def _versions(help: str) -> Callable[[Command], Command]:
    """The option that names versions of Prometheus."""
    return click.option(
        "--prometheus", "versions", multiple=True, type=click.Choice(["2.42", "2.53", "3.5"]), help=help
    )


@cli.command(short_help="Say what failure-mode files cover, and check what runs.")
@_SPECS
@click.option("--url", help="Root URL of a Prometheus, or of a process's /metrics: check what runs, too.")
@click.option("--strict", is_flag=True, help="Let promtool and amtool judge the generated files, if installed.")
@_versions("A version that the rules must work in; repeatable, by default all.")
@click.option(
    "--actions", type=click.Path(path_type=Path), help="The file of `pipemon serve`: compare it with `then:`."
)
def check(
    specs: tuple[Path, ...], url: str | None, strict: bool, versions: tuple[str, ...], actions: Path | None
) -> None:
    """Check failure-mode files and say what they cover, and what nobody thought of."""
    from pipemon.generate.coverage import coverage, summary  # noqa: PLC0415
    from pipemon.generate.inhibition import plan  # noqa: PLC0415
    from pipemon.spec.load import load_each  # noqa: PLC0415

    with _at_one_go():
        found, problems = load_each(specs)
        plans, wrong = [plan(spec) for spec in found], False
    for made in plans:
        for line in (*summary(made), *coverage(made.spec)):
            click.echo(line)
        wrong |= url is not None and _running(made, url)
    if plans and not problems:
        with _at_one_go():
            wrong |= _linted(plans, versions)
    wrong |= actions is not None and not problems and _unmatched([made.spec for made in plans], actions)
    if strict and plans and not problems:
        wrong |= _judged(plans)
    if problems:
        raise SpecError(problems)
    if wrong:
        sys.exit(1)


def _unmatched(specs: list[Spec], file: Path) -> bool:
    """Print which actions are asked for and not said how to do, and the other way round; tell whether there are any."""
    from pipemon.receiver.actions_file import done_once, read_actions, unmatched  # noqa: PLC0415

    known = read_actions(file)
    for line in done_once(specs, known, file):
        click.echo(f"  {line}")
    found = list(unmatched(specs, known, file))
    for line in found:
        click.echo(f"  {line}")
    return bool(found)


def _linted(plans: list[Plan], versions: tuple[str, ...]) -> bool:
    """Print what is wrong with the generated files, and tell whether anything is."""
    from pipemon.generate.lint.findings import lint  # noqa: PLC0415
    from pipemon.generate.lint.targets import PROMETHEUS  # noqa: PLC0415

    for made in plans:
        for name, reason in made.spec.checks_off:
            click.echo(f"  {made.spec.pipeline}: the check {name} is off: {reason}")
    found = list(lint(plans, versions or PROMETHEUS))
    for finding in found:
        click.echo(f"  {finding}")
    return bool(found)


def _judged(plans: list[Plan]) -> bool:
    """Print what the tools say of the generated files, and tell whether any is against them."""
    from pipemon.generate.lint.strict import strict  # noqa: PLC0415

    if sys.stderr.isatty():
        count = sum(len(made.spec.measurable) for made in plans)
        with click.progressbar(length=count, label="promtool test rules", file=sys.stderr) as bar:
            said = list(strict(plans, bar.update))
    else:
        said = list(strict(plans))
    for _, words in said:
        click.echo(words)
    return not all(content for content, _ in said)


def _running(made: Plan, url: str) -> bool:
    """Print what is wrong with what runs, and tell whether anything is."""
    from pipemon.generate.live.bounds import SERIES, bounds_findings  # noqa: PLC0415
    from pipemon.generate.live.modes import modes_told  # noqa: PLC0415
    from pipemon.generate.live.running import live_samples, running  # noqa: PLC0415

    found = bounds_findings(made.spec, live_samples(url, made.spec, SERIES))
    for finding in found:
        click.echo(f"  running: {finding}")
    live, spec = running(url, made.spec)
    told = list(modes_told(spec, live))
    for line in told:
        click.echo(f"  running: {line.words}")
    return bool(found) or any(line.fault for line in told)


@cli.command(short_help="Write rules with tests, routes, dashboards and runbooks.")
@_SPECS
@click.option("--out", default="monitoring", show_default=True, type=click.Path(path_type=Path, file_okay=False))
@click.option("--time-scale", default=1.0, type=TimeScale(), help="Divide every duration.")
@click.option(
    "--target",
    "targets",
    multiple=True,
    type=HostPort(named=True),
    help="That of metrics, or job=host:port; repeatable.",
)
@click.option(
    "--alertmanager",
    default=_ALERTMANAGER,
    show_default=True,
    type=HostPort(instead=("0.25", "0.28", "0.33")),
    help="That of Alertmanager; or its version, all of which read the files.",
)
@_versions("A version that the rules must work in: tell what of them it lacks; repeatable.")
@click.option(
    "--grafana", type=click.Choice(["10", "11", "12", "13"]), help="The version, all of which read the dashboards."
)
@click.option(
    "--receiver", default="http://127.0.0.1:9465/alerts", show_default=True, type=Url(), help="That of pipemon serve."
)
@click.option(
    "--receiver-token-file", default="", metavar="FILE", help="Where Alertmanager finds the token of pipemon serve."
)
@click.option(
    "--prometheus-url", default="http://localhost:9090", show_default=True, type=Url(), help="As Grafana reaches it."
)
@click.option("--grafana-url", type=Url(), help="Root of Grafana, for links in notifications.")
@click.option(
    "--traces",
    default="",
    metavar="URL",
    help="Where exemplars lead: an address with {trace_id}, or the uid of Grafana's data source of traces.",
)
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(["grafana", "kubernetes", "mimir", "thanos", "victoria"]),
    help="Add Grafana's own alerting, manifests, or a ruler's files; repeatable.",
)
@click.option("--namespace", default="", help="With --format kubernetes: that of the pipelines, if they select none.")
@click.option("--datasource-uid", default="", help="With --format grafana: the data source that the alerts read.")
@click.option("--for-import", is_flag=True, help="Add the dashboards for Grafana's import dialog and grafana.com.")
@click.option("--edge", is_flag=True, help="For a device that alerts on its own and sends to a centre.")
@click.option("--remote-write", default="", metavar="URL", help="With --edge: the centre's remote-write receiver.")
@click.option(
    "--external-label", multiple=True, metavar="NAME=VALUE", help="With --edge: names the device; repeatable."
)
@click.option("--agent", is_flag=True, help="With --edge: Prometheus in agent mode, which only forwards.")
def generate(
    specs: tuple[Path, ...],
    out: Path,
    time_scale: float,
    targets: tuple[str, ...],
    alertmanager: str,
    versions: tuple[str, ...],
    grafana: str | None,
    receiver: str,
    receiver_token_file: str,
    prometheus_url: str,
    grafana_url: str | None,
    traces: str,
    formats: tuple[str, ...],
    namespace: str,
    datasource_uid: str,
    for_import: bool,
    edge: bool,
    remote_write: str,
    external_label: tuple[str, ...],
    agent: bool,
) -> None:
    """Write rules, rule tests, Alertmanager configuration and dashboards."""
    from pipemon.generate.coverage import summary  # noqa: PLC0415
    from pipemon.generate.edge.device import edge as edge_device  # noqa: PLC0415
    from pipemon.generate.formats.provisioning import DATASOURCE_UID  # noqa: PLC0415
    from pipemon.generate.output import Options, labels_differ  # noqa: PLC0415
    from pipemon.generate.output import generate as make  # noqa: PLC0415

    if not edge and (remote_write or external_label or agent):
        raise click.UsageError("--remote-write, --external-label and --agent are of an edge device; add --edge")
    del grafana  # the files are those of all versions
    alertmanager = alertmanager if ":" in alertmanager else _ALERTMANAGER
    device = edge_device(remote_write, external_label, agent, time_scale) if edge else None
    if namespace and "kubernetes" not in formats:
        raise click.UsageError("--namespace is of Kubernetes; add --format kubernetes")
    if receiver_token_file and "grafana" in formats:
        raise click.UsageError(
            "Grafana's contact points take no token from a file: leave --receiver-token-file out, and add it in Grafana"
        )
    if datasource_uid and "grafana" not in formats:
        raise click.UsageError("--datasource-uid is of Grafana's own alerting; add --format grafana")
    source = datasource_uid or DATASOURCE_UID
    options = Options(
        time_scale, receiver, alertmanager, targets, grafana_url or "", device, formats, namespace, for_import,
        prometheus_url, source, receiver_token_file, traces,
    )  # fmt: skip
    with _writing(out), _at_one_go():
        made = make(specs, out, options)
    for one in made.plans:
        for line in summary(one):
            click.echo(line)
    for name in made.paths:
        click.echo(f"{'wrote' if name in made.changed else 'same '} {out / name}")
    for name in made.stale:
        click.echo(
            f"pipemon: {out / name} is of an earlier run, and Prometheus loads it still: delete it if it is gone, "
            "else generate all files of this folder in one run",
            err=True,
        )
    if labels_differ([one.spec for one in made.plans]):
        click.echo(
            "pipemon: `labels:` is not the same for all pipelines: the dashboards for any of them read pipemon's own",
            err=True,
        )
    if versions:
        _lacking(made.plans, versions)


def _lacking(plans: Sequence[Plan], versions: tuple[str, ...]) -> None:
    """Print what the rules ask for that a version of Prometheus has not."""
    from pipemon.generate.lint.findings import lint  # noqa: PLC0415

    for finding in lint(plans, versions):
        if finding.check == "promql/functions":
            click.echo(f"pipemon: {finding}", err=True)


@cli.command(short_help="Say what a change does to alerts, routes and panels.")
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
def diff(old: Path, new: Path) -> None:
    """Say what changes in alerts, routes and panels from OLD to NEW: files, or folders of them.

    Ends with 1 where something changes, with 0 where nothing does. Code and baseline that are not beside OLD are
    looked for beside NEW, so that OLD may come from anywhere: pipemon diff <(git show HEAD:speech.yaml) speech.yaml
    """
    from pipemon.generate.diff import differences  # noqa: PLC0415
    from pipemon.generate.inhibition import plan  # noqa: PLC0415
    from pipemon.spec.code import forgotten  # noqa: PLC0415
    from pipemon.spec.load import load_each  # noqa: PLC0415

    with forgotten():
        before, problems = load_each((old,), beside=new if new.is_dir() else new.parent)
    after, more = load_each((new,))
    if problems or more:
        raise SpecError((*problems, *more))
    found = differences([plan(spec) for spec in before], [plan(spec) for spec in after])
    for line in found or ("no alert, route or panel changes",):
        click.echo(line)
    sys.exit(1 if found else 0)


@cli.command(short_help="Play a speech cascade with faults, on real servers.")
@click.option("--seed", default=0, show_default=True, help="Draws the order and the strength of the faults.")
@click.option("--keep", is_flag=True, help="Leave all running at the end and print the URLs.")
@click.option("--cache", type=click.Path(path_type=Path), help="Folder for programs and recordings.")
@click.option("--time-scale", default=20.0, show_default=True, type=click.FloatRange(min=1))
@click.option("--no-inhibition", is_flag=True, help="Take the inhibition rules out: the effects are notified too.")
@click.option("--faults", default="", help="Play these only, by their names with commas between.")
def demo(seed: int, keep: bool, cache: Path | None, time_scale: float, no_inhibition: bool, faults: str) -> None:
    """Play a speech cascade with faults, from the decorator to the notification."""
    from pipemon.demo.play import Options, play  # noqa: PLC0415

    names = tuple(name for name in faults.split(",") if name)
    sys.exit(play(Options(seed, keep, cache, time_scale, not no_inhibition, names)))


cli.add_command(backtest)
cli.add_command(baseline)
cli.add_command(review)
cli.add_command(expect)
cli.add_command(slices)
cli.add_command(drill)
cli.add_command(push)
cli.add_command(serve)
cli.add_command(watch)


def run() -> NoReturn:
    """Run the command line and end the process: no traceback for what pipemon itself says is wrong."""
    try:
        cli(prog_name="pipemon", standalone_mode=False)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)
    except SpecError as error:
        from pipemon.spec.excerpt import told  # noqa: PLC0415

        for line in told(error.problems):
            click.echo(line, err=True)
        sys.exit(error.exit_code)
    except PipemonError as error:
        click.echo(f"pipemon: {error}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.errno not in _FULL or error.filename:
            raise
        with suppress(OSError):
            sys.stdout.close()  # else what it still holds would be tried once more at the end
        click.echo(f"pipemon: cannot write what there is to say: {(error.strerror or '').lower()}", err=True)
        sys.exit(2)
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0], "demo")
        if error.name is None or error.name.startswith("pipemon"):
            raise
        click.echo(f"pipemon: {error.name} is not installed; get it with: pip install 'pipemon[{extra}]'", err=True)
        sys.exit(2)
    sys.exit(0)
