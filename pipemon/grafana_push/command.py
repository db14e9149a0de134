"""The command `pipemon push`."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipemon.errors import UnavailableError
from pipemon.parameters import token_in

if TYPE_CHECKING:
    from pipemon.grafana import Grafana
    from pipemon.grafana_push.dashboards import Dashboard
    from pipemon.grafana_push.decide import Decision

_TOKEN, _URL = "GRAFANA_TOKEN", "GRAFANA_URL"
_SAID = {"new": "added", "changed": "changed", "same": "same", "edited": "kept", "refused": "refused"}
_WOULD = {"new": "would add", "changed": "would change", "same": "same", "edited": "would keep", "refused": "refused"}

_WHY = {
    "version-mismatch": "somebody saved it meanwhile; push again to see what is there now",
    "name-exists": "another dashboard of that folder has its title; rename that one",
}
"""What Grafana's words for a refusal mean, and what to do."""


@click.command(short_help="Bring the dashboards into a Grafana.")
@click.argument("specs", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--from", "made", type=click.Path(path_type=Path), help="What `pipemon generate` wrote, instead of SPECS."
)
@click.option("--url", envvar=_URL, default="", help=f"Root URL of Grafana; by default ${_URL}.")
@click.option("--token-file", type=click.Path(path_type=Path), help=f"File with the token; by default ${_TOKEN}.")
@click.option("--folder", default="pipemon", show_default=True, help="Uid of the folder; made if there is none.")
@click.option("--dry-run", is_flag=True, help="Only say what would change; end with 1 if anything would.")
@click.option("--force", is_flag=True, help="Overwrite what people changed in Grafana, too.")
@click.option(
    "--prune",
    "gone",
    multiple=True,
    metavar="PIPELINE",
    help="Delete the dashboard of a pipeline that is gone, if a push saved it last; repeatable.",
)
@click.option("--ca-file", type=click.Path(path_type=Path), help="Certificates to trust; by default the system's.")
@click.option("--insecure", is_flag=True, help="Trust any certificate.")
@click.option("--timeout", default=10.0, show_default=True, type=click.FloatRange(0.1, 600), help="Seconds.")
def push(
    specs: tuple[Path, ...],
    made: Path | None,
    url: str,
    token_file: Path | None,
    folder: str,
    dry_run: bool,
    force: bool,
    gone: tuple[str, ...],
    ca_file: Path | None,
    insecure: bool,
    timeout: float,
) -> None:
    """Bring the dashboards of SPECS into a Grafana.

    What a person changed there since the last push is kept, and said, unless --force is given. Ends with 1 where
    a dashboard was kept or refused.
    """
    if specs and made:
        raise click.UsageError("name failure-mode files, or a generated folder by --from, not both")
    if not (specs or made or gone):
        raise click.UsageError("name failure-mode files, or a generated folder by --from")
    if insecure and ca_file:
        raise click.UsageError("--insecure trusts any certificate, so --ca-file has no use")
    if not url:
        raise click.UsageError(f"say where Grafana is: --url, or {_URL}")
    if not re.fullmatch(r"[a-zA-Z0-9_-]{1,40}", folder):
        raise click.UsageError(
            f"--folder is a uid, as in a folder's address /dashboards/f/UID: at most 40 letters, digits, - and _;"
            f" {folder!r} is none"
        )
    boards = _boards(specs, made, gone)
    token = _token(token_file)

    from pipemon.grafana import Grafana  # noqa: PLC0415
    from pipemon.grafana_push.prune import prune  # noqa: PLC0415

    grafana = Grafana(url, token, ca_file=ca_file, insecure=insecure, timeout=timeout)
    # Every line is seen before the next dashboard is touched, whatever comes then.
    done = True
    steps = (_pushed(grafana, boards, folder, dry_run, force), prune(grafana, gone, folder, dry_run))
    for line, fine in chain.from_iterable(steps):
        click.echo(line)
        done &= fine
    sys.exit(0 if done else 1)


def _boards(specs: Sequence[Path], made: Path | None, gone: Sequence[str]) -> list[Dashboard]:
    """Return the dashboards to push. Raises UsageError where one of them is of a pipeline that is said to be gone."""
    from pipemon.generate.dashboards.board import stable_uid  # noqa: PLC0415
    from pipemon.grafana_push.dashboards import of_folder, of_specs  # noqa: PLC0415

    if not specs and made is None:
        return []
    boards = of_specs(specs) if made is None else of_folder(made)
    there = {board["uid"] for board in boards}
    for pipeline in gone:
        if stable_uid(pipeline) in there:
            raise click.UsageError(f"--prune {pipeline}: its dashboard is among those to push")
    return boards


def _pushed(
    grafana: Grafana, boards: Sequence[Dashboard], folder: str, dry_run: bool, force: bool
) -> Iterator[tuple[str, bool]]:
    """Push, and yield each line to print with whether it tells that all is as asked for."""
    from pipemon.grafana_push.decide import decide  # noqa: PLC0415

    if boards and grafana.folder(folder) is None:
        if not dry_run:
            _make_folder(grafana, folder)
        yield f"{'would make' if dry_run else 'made'} the folder {folder}", not dry_run
    for board in boards:
        name = f"{board['uid']} ({board['title']})"
        decision = decide(grafana, board, folder)
        overwrite = force and decision.state == "edited"
        fine = decision.state == "same"
        said, why = (_WOULD if dry_run else _SAID)[decision.state], decision.why
        if overwrite:
            said = "would overwrite" if dry_run else "overwrote"
        if not dry_run and (overwrite or decision.state in ("new", "changed")):
            refused = _refused(grafana, board, folder, decision)
            said, why, fine = ("not saved", refused, False) if refused else (said, why, True)
        yield f"{said} {name}{f': {why}' if why else ''}", fine
        for change in decision.changes:
            yield f"  {change}", True
        if decision.state == "edited" and not force:
            yield f"  {decision.forced}", True


def _make_folder(grafana: Grafana, folder: str) -> None:
    from pipemon.grafana import RefusedError  # noqa: PLC0415

    try:
        grafana.make_folder(folder, folder)
    except RefusedError as error:
        # Another push may have made it meanwhile; a folder of that title is no such luck.
        if grafana.folder(folder) is None:
            title = "; a folder of that title has another uid: it is in its address, give it by --folder"
            raise UnavailableError(f"{error}{title if error.status == 'name-exists' else ''}") from None


def _refused(grafana: Grafana, board: Dashboard, folder: str, decision: Decision) -> str:
    """Save a dashboard; return why Grafana did not take it, "" where it did."""
    from pipemon.grafana import RefusedError  # noqa: PLC0415
    from pipemon.grafana_push.decide import message  # noqa: PLC0415

    try:
        grafana.save(board, folder, message(board), decision.version)
    except RefusedError as error:
        why = _WHY.get(error.status)
        return f"{why} ({error})" if why else str(error)
    return ""


def _token(file: Path | None) -> str:
    token = os.environ.get(_TOKEN, "").strip() if file is None else token_in(file)
    if not token and file:
        raise click.UsageError(f"there is no token in {file}")
    if not token:
        raise click.UsageError(f"Grafana wants a service account's token: set {_TOKEN}, or give --token-file")
    return token
