"""The command `pipemon drill`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipemon.errors import OptionError, nearest
from pipemon.parameters import token_in

if TYPE_CHECKING:
    from pipemon.drill.effects import Mean
    from pipemon.prometheus import Prometheus
    from pipemon.spec.model import Condition, FailureMode, Spec

_TOKEN = "PIPEMON_DRILL_TOKEN"


@click.command(short_help="Make a running service fail, and see the alert arrive.")
@click.argument("spec")
@click.option("--failure", help="The failure mode to bring about.")
@click.option("--report", is_flag=True, help="Say which failure modes were drilled, and which never.")
@click.option(
    "--service",
    "services",
    multiple=True,
    metavar="URL",
    default=("http://127.0.0.1:9464",),
    show_default=True,
    help="Root URL of each process that is drilled.",
)
@click.option("--url", default="http://127.0.0.1:9090", show_default=True, help="Root URL of Prometheus.")
@click.option("--alertmanager", default="", metavar="URL", help="Root URL of Alertmanager.")
@click.option("--token-file", type=click.Path(path_type=Path), help=f"File with the token; by default ${_TOKEN}.")
@click.option("--share", default=0.5, show_default=True, type=click.FloatRange(0, 1, min_open=True), help="Of calls.")
@click.option("--effect", "effects", multiple=True, help="Instead of what follows from the signal; repeatable.")
@click.option("--stage", help="With --effect: where, if not at the failure mode's own stage.")
@click.option("--track", default="stable", show_default=True, type=click.Choice(["stable", "canary", "shadow"]))
@click.option("--time-scale", default=1.0, type=click.FloatRange(0.01, 1000), help="That of `pipemon generate`.")
@click.option("--record", type=click.Path(path_type=Path), help="File to record in; by default <spec>.drills.json.")
def drill(
    spec: str,
    failure: str | None,
    report: bool,
    services: tuple[str, ...],
    url: str,
    alertmanager: str,
    token_file: Path | None,
    share: float,
    effects: tuple[str, ...],
    stage: str | None,
    track: str,
    time_scale: float,
    record: Path | None,
) -> None:
    """Bring a failure mode about in a running service, and see its alert arrive.

    SPEC is a failure-mode file, or its name without `.yaml`. The service must allow it: `pipemon.allow_drills`.
    """
    from pipemon.drill import record as records  # noqa: PLC0415
    from pipemon.drill.effects import Request, request  # noqa: PLC0415
    from pipemon.drill.play import Drill, play  # noqa: PLC0415
    from pipemon.drill.service import Service  # noqa: PLC0415
    from pipemon.drill.watch import Watch  # noqa: PLC0415
    from pipemon.generate.inhibition import plan  # noqa: PLC0415
    from pipemon.generate.output import write  # noqa: PLC0415
    from pipemon.prometheus import Alertmanager, Prometheus  # noqa: PLC0415
    from pipemon.spec.load import load  # noqa: PLC0415
    from pipemon.spec.modes import alert_name  # noqa: PLC0415
    from pipemon.spec.scale import scaled  # noqa: PLC0415

    if report == (failure is not None):
        raise click.UsageError("say which failure mode: --failure NAME; or ask for the --report")
    if stage and not effects:
        raise click.UsageError("--stage says where an --effect is brought about; without one it is the failure mode's")
    file = _file(spec)
    loaded = plan(load(file)).spec
    path = record or records.record_of(file)
    drills = records.read(path)
    if report:
        for line in records.report(loaded, drills):
            click.echo(line)
        return
    running = scaled(loaded, time_scale)
    mode = _mode(running, str(failure))
    prometheus = Prometheus(url)
    if effects:
        asked = Request(stage or mode.stage or running.stages[-1].name, track, effects)
    else:
        asked = request(running, mode, share, _now(running, prometheus))
    token = _token(token_file)
    opened = [Service(each, token) for each in services]
    watch = Watch(
        prometheus, Alertmanager(alertmanager) if alertmanager else None, alert_name(running.pipeline, mode.name)
    )
    rule = records.rule_hashes(loaded).get(mode.name, "")
    found = play(Drill(running, mode, asked, share), opened, watch, rule, lambda line: click.echo(f"  {line}"))
    try:
        write(path.parent, {path.name: records.dump(drills | {mode.name: found})})
    except OSError as error:
        raise OptionError(f"cannot write {path}: {error.strerror or error}") from None
    click.echo(f"{mode.name}: {found.outcome}; recorded in {path}")
    if found.outcome in ("not fired", "not notified"):
        sys.exit(1)


def _file(spec: str) -> Path:
    for path in (Path(spec), Path(f"{spec}.yaml"), Path(f"{spec}.yml")):
        if path.is_file():
            return path
    raise click.UsageError(f"there is no file {spec}, {spec}.yaml or {spec}.yml")


def _mode(spec: Spec, name: str) -> FailureMode:
    modes = {mode.name: mode for mode in spec.failure_modes}
    if name not in modes:
        raise click.UsageError(f"there is no failure mode {name!r}{nearest(name, modes)}")
    if not modes[name].conditions:
        raise click.UsageError(f"{name} has no alert: {modes[name].waiting}")
    return modes[name]


def _token(file: Path | None) -> str:
    import os  # noqa: PLC0415

    token = os.environ.get(_TOKEN, "") if file is None else token_in(file)
    if not token:
        raise click.UsageError(f"a drill needs the service's token: set {_TOKEN}, or give --token-file")
    return token


def _now(spec: Spec, prometheus: Prometheus) -> Mean:
    from pipemon.generate.measures import measure  # noqa: PLC0415
    from pipemon.generate.promql import text  # noqa: PLC0415

    def now(mode: FailureMode, condition: Condition) -> float | None:
        found = measure(spec, mode, condition)
        if found is None:
            return None
        values = [sample.value for sample in prometheus.query(text(found.value.series(*found.matchers)))]
        return values[0] if len(values) == 1 else None

    return now
