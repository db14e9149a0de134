"""The command `pipemon serve`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipemon.parameters import Url, token_in

if TYPE_CHECKING:
    import ssl

    from pipemon.receiver.marks import Annotations

_FILE = click.Path(path_type=Path)
_QUEUE = Path("pipemon-receiver.sqlite")
_GRAFANA_TOKEN = "GRAFANA_TOKEN"
_SHORTEST_TOKEN = 16


@click.command(short_help="Receive alerts: print, mark in Grafana, roll back, retrain.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=9465, show_default=True, type=click.IntRange(0, 65535))
@click.option("--token-file", type=_FILE, help="File with the token that Alertmanager must send.")
@click.option("--cert-file", type=_FILE, help="Certificate, with its chain: speak HTTPS.")
@click.option("--key-file", type=_FILE, help="The certificate's key, if it is not in the same file.")
@click.option("--actions", type=_FILE, help="YAML file that says how stages are rolled back and retrained.")
@click.option("--dry-run", is_flag=True, help="Only say which actions would be done.")
@click.option("--grafana-url", type=Url(), help=f"Root URL of a Grafana to mark alerts in; wants ${_GRAFANA_TOKEN}.")
@click.option("--grafana-token-file", type=_FILE, help=f"File with Grafana's token, instead of ${_GRAFANA_TOKEN}.")
@click.option("--grafana-ca-file", type=_FILE, help="Certificates to trust; by default the system's.")
@click.option(
    "--queue", type=_FILE, help=f"File for what is still to be done; {_QUEUE} where there is anything, else memory."
)
def serve(
    host: str,
    port: int,
    token_file: Path | None,
    cert_file: Path | None,
    key_file: Path | None,
    actions: Path | None,
    dry_run: bool,
    grafana_url: str | None,
    grafana_token_file: Path | None,
    grafana_ca_file: Path | None,
    queue: Path | None,
) -> None:
    """Receive Alertmanager's notifications: print a line for each alert, and do what its `then:` asks for.

    Alerts are marked in Grafana with --grafana-url, and stages rolled back or retrained as the file of --actions
    says. What was told and is to be done outlives a restart. GET / shows it, GET /metrics counts it.
    """
    from pipemon.receiver.actions_file import read_actions  # noqa: PLC0415
    from pipemon.receiver.server import serve as listen  # noqa: PLC0415
    from pipemon.receiver.worker import Settings  # noqa: PLC0415

    token = token_in(token_file) if token_file else ""
    if token_file and len(token) < _SHORTEST_TOKEN:
        raise click.UsageError(f"the token in {token_file} has fewer than {_SHORTEST_TOKEN} characters")
    if actions and not token and not dry_run:
        raise click.UsageError("whoever can send alerts could roll back: give --token-file, too, or --dry-run")
    if dry_run and not actions:
        raise click.UsageError("--dry-run is about the actions of --actions")
    known = read_actions(actions) if actions else {}
    annotations = _grafana(grafana_url, grafana_token_file, grafana_ca_file)
    path = queue or (_QUEUE if known or annotations else None)
    tls = _tls(cert_file, key_file)
    listen(port, host, settings=Settings(path, known, annotations, token, dry_run), tls=tls)


def _tls(cert_file: Path | None, key_file: Path | None) -> ssl.SSLContext | None:
    if cert_file is None:
        if key_file:
            raise click.UsageError("--key-file is of a certificate: give --cert-file, too")
        return None
    import ssl  # noqa: PLC0415  all commands would wait for it

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(cert_file, key_file)
    except (OSError, ValueError) as error:
        raise click.UsageError(f"the certificate can't be used: {error}") from None
    return context


def _grafana(url: str | None, token_file: Path | None, ca_file: Path | None) -> Annotations | None:
    if url is None:
        if token_file or ca_file:
            raise click.UsageError("say where Grafana is: --grafana-url")
        return None
    from pipemon.grafana import Grafana  # noqa: PLC0415

    token = token_in(token_file) if token_file else os.environ.get(_GRAFANA_TOKEN, "").strip()
    if not token:
        raise click.UsageError(
            f"Grafana wants a service account's token: set {_GRAFANA_TOKEN}, or give --grafana-token-file"
        )
    return Grafana(url, token, ca_file=ca_file)
