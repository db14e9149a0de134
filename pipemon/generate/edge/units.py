"""How an edge device runs: systemd units, and the commands for the device and the centre."""

from __future__ import annotations

from textwrap import fill
from urllib.parse import SplitResult, urlsplit

from pipemon.generate.edge.device import BLOCK, Edge
from pipemon.generate.formats.yamltext import comment

_SEGMENT, _BYTES = 128 * 1024 * 1024, 7.0
"""A WAL segment's size, and what a sample takes of it: measured with Prometheus 2.42 that scrapes itself."""

_UNIT = """\
[Unit]
Description={description}
After=network.target

[Service]
ExecStart={command}
DynamicUser=yes
StateDirectory={name}
Restart=always
RestartSec=5

[Install]
WantedBy=multi-user.target
"""

_README = """\
# An edge device: {device}

The files are for `/etc/pipemon` on the device; `centre/` is for the centre and the same for all its devices.

## On the device

    sudo mkdir -p /etc/pipemon && sudo cp -r . /etc/pipemon
    promtool check config {check}/etc/pipemon/prometheus.yml
    sudo cp /etc/pipemon/edge/*.service /etc/systemd/system/
    sudo systemctl daemon-reload
    sudo systemctl enable --now {units}{follow}

{alone}

## At the centre

    promtool check config centre/prometheus.yml
    promtool test rules centre/rules/tests/*.yml
    prometheus --config.file=centre/prometheus.yml --web.enable-remote-write-receiver
    alertmanager --config.file=centre/alertmanager/alertmanager.yml

`{url}` must reach that Prometheus. Put TLS and a password in front of it, and `basic_auth` beside the URL in
`prometheus.yml`. It takes samples that are up to {window} old (`out_of_order_time_window`). {centre}

## How long a cut is bridged

Prometheus sends from its write-ahead log (WAL), and shortens it without waiting for the centre. With `{flag}={block}`
at least the last {bridged} are there while {block} of samples fill less than one segment of 128 MiB (some {rate}
samples a second); with many segments it is half of {block}. By default it is 4h, or 1h.

After a longer cut all of it but its beginning is lost to the centre, even what the WAL still has{stays}. So is what was
not yet sent when Prometheus restarts: it does not continue where it stopped (prometheus/prometheus#8809). Versions
2.51.0 to 2.53.0 lose samples after any cut that is longer than a segment (prometheus/prometheus#14446).

{disk}
"""


def unit_files(place: Edge, alertmanager_address: str, receiver_url: str) -> dict[str, str]:
    """Return the systemd units and their README by path: Alertmanager and its receiver where they are here."""
    block = place.scaled(BLOCK)
    data = "%S/pipemon-prometheus"
    listen = "--web.listen-address=127.0.0.1:9090"
    if place.agent:
        prometheus = [
            "--enable-feature=agent",
            "--config.file=/etc/pipemon/prometheus.yml",
            f"--storage.agent.path={data}",
            f"--storage.agent.wal-truncate-frequency={block}",
            f"--storage.agent.retention.max-time={place.scaled(4 * BLOCK)}",
            listen,
        ]
    else:
        prometheus = [
            "--config.file=/etc/pipemon/prometheus.yml",
            f"--storage.tsdb.path={data}",
            f"--storage.tsdb.min-block-duration={block}",
            f"--storage.tsdb.max-block-duration={block}",
            f"--storage.tsdb.retention.time={place.scaled(15 * 24 * 3600)}",
            "--storage.tsdb.retention.size=4GB",
            # Else an alert whose `for` is shorter than ten minutes begins anew at each restart.
            "--rules.alert.for-grace-period=0s",
            listen,
        ]
    note = "The long first block keeps the WAL for the centre; see README.md beside this file."
    if place.agent:
        note = "The WAL is shortened rarely, to keep it for the centre; see README.md beside this file."
    found = {"pipemon-prometheus": _unit("pipemon-prometheus", "Prometheus", ["prometheus", *prometheus], note)}
    if not place.agent and _is_here(urlsplit(f"//{alertmanager_address}")):
        alertmanager = [
            "prometheus-alertmanager",
            "--config.file=/etc/pipemon/alertmanager/alertmanager.yml",
            "--storage.path=%S/pipemon-alertmanager",
            "--cluster.listen-address=",
            f"--web.listen-address={alertmanager_address}",
        ]
        upstream = "Where it is not Debian's, the program is called alertmanager."
        found["pipemon-alertmanager"] = _unit("pipemon-alertmanager", "Alertmanager", alertmanager, upstream)
    receiver = urlsplit(receiver_url)
    if not place.agent and _is_here(receiver):
        serve = ["pipemon", "serve", f"--host={receiver.hostname}", f"--port={receiver.port or 80}"]
        what = "pipemon serve, which prints each notification to the journal"
        found["pipemon-serve"] = _unit("pipemon-serve", what, serve, "")
    files = {f"edge/{name}.service": text for name, text in found.items()}
    return files | {"edge/README.md": _readme(place, list(found))}


def _is_here(address: SplitResult) -> bool:
    return address.hostname in ("127.0.0.1", "localhost", "::1")


def _unit(name: str, description: str, command: list[str], note: str) -> str:
    # env finds the program wherever the device has it.
    lines = " \\\n  ".join(["/usr/bin/env", *command])
    head = comment(f"Generated by pipemon. {note}".strip())
    return head + _UNIT.format(name=name, description=description, command=lines)


def _readme(place: Edge, units: list[str]) -> str:
    common = {
        "device": ", ".join(f"{name}={value}" for name, value in place.external_labels),
        "units": " ".join(units),
        "url": place.remote_write,
        "block": place.scaled(BLOCK),
        "bridged": place.scaled(2 * BLOCK),
        "window": place.scaled(4 * BLOCK),
        "rate": f"{_SEGMENT / _BYTES / BLOCK * place.time_scale:,.0f}",
    }
    if place.agent:
        return _wrapped(
            _README.format(
                **common,
                check="--agent ",
                follow="",
                alone="In agent mode Prometheus only forwards: it evaluates no rules, alerts nobody and answers no "
                "queries, so while the link is cut nobody is told of anything. Leave `--agent` out where that matters.",
                centre="It evaluates the rules for each device. A lost link is one notice and holds back what would "
                "look like silence. A fault that came and went during a cut alerts nobody.",
                flag="--storage.agent.wal-truncate-frequency",
                stays="",
                disk="Disk: the WAL only, about 7 bytes a sample.",
            )
        )
    kept = place.scaled(15 * 24 * 3600)
    return _wrapped(
        _README.format(
            **common,
            check="",
            follow="\n    journalctl -fu pipemon-serve  # the notifications" if "pipemon-serve" in units else "",
            alone="Nothing of it listens beyond the device. Rules, alerts, notifications and queries need no link; "
            "`alertmanager/alertmanager.yml` takes a local pager.",
            centre="It has no rules of the pipelines: it alerts on what each device says of its own alerts, once, and "
            "holds that during a cut. A lost link is one notice. A fault that came and went during a cut is in the "
            "centre's series and was notified at the device only.",
            flag="--storage.tsdb.min-block-duration",
            stays=f"; the device keeps it for {kept} or 4 GB, whichever is less",
            disk="Disk: about 7 bytes a sample in the WAL and 2 in blocks. Memory: the index of a block and a half of "
            "chunks; a restart reads the WAL again.",
        )
    )


def _wrapped(text: str) -> str:
    """Return Markdown with its paragraphs filled; commands and headings stay."""
    parts = text.strip().split("\n\n")
    return "\n\n".join(p if p.startswith(("    ", "#")) else fill(p, 118, break_on_hyphens=False) for p in parts) + "\n"
