"""A real Prometheus, Alertmanager and Pushgateway for a test, on free loopback ports, and the programs beside them."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.request import Request, urlopen

import pytest
import yaml

from pipemon.demo.processes import Child, children, free_ports, start
from pipemon.demo.servers import alertmanager_command, prometheus_command
from pipemon.prometheus import Alertmanager, Prometheus, RoutedAlert

Found = TypeVar("Found")
Labels = dict[str, str]


def program(*names: str) -> Path:
    """Return the first of the programs that there is; skips the test where there is none."""
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip(f"needs {names[0]} on the PATH")
    return Path(found)


def tool(*command: str, cwd: Path | None = None, patience: float = 240.0) -> str:
    """Run promtool or amtool and return what it prints; the test fails where it does."""
    arguments = [str(program(command[0])), *command[1:]]
    done = subprocess.run(arguments, cwd=cwd, capture_output=True, text=True, check=False, timeout=patience)
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}{done.stderr}"
    return done.stdout


def until(look: Callable[[], Found], what: str, patience: float = 180.0) -> Found:
    """Look until there is something to see, and return it."""
    deadline = time.monotonic() + patience
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what} not within {patience:g} s"
        time.sleep(0.05)
    return found


@contextlib.contextmanager
def _running(name: str, command: Sequence[str], folder: Path, ready: Callable[[], bool]) -> Iterator[Child]:
    with children() as started:
        child = start(name, command, folder / f"{name}.log")
        started.append(child)

        def is_ready() -> bool:
            child.check()
            return ready()

        until(is_ready, f"{name} ready")
        yield child
        child.check()


@contextlib.contextmanager
def running_prometheus(config: str, folder: Path) -> Iterator[Prometheus]:
    """Run a Prometheus with the text of a `prometheus.yml`, its files and data under `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "prometheus.yml").write_text(config)
    (port,) = free_ports(1)
    client = Prometheus(f"http://127.0.0.1:{port}")
    command = prometheus_command(program("prometheus"), folder / "prometheus.yml", folder / "data", port)
    with _running("prometheus", command, folder, client.ready):
        yield client


class Inbox:
    """An Alertmanager that takes a test's alerts and tells which of them hold back which."""

    def __init__(self, client: Alertmanager) -> None:
        self._client = client
        self.url = client.url
        self._posts = 0
        self.url = client.url

    def held_back(self, firing: Mapping[str, Labels]) -> dict[str, str]:
        """Let alerts fire, each under a name; return the names of those held back, with what holds them back."""
        # Alertmanager takes alerts in their order: once the last one has its effect, so have all.
        self._posts += 1
        marks = [{"alertname": "Mark", "mark": side, "post": str(self._posts)} for side in ("target", "source")]
        alerts = [{"labels": {**labels, "name": name}} for name, labels in firing.items()]
        alerts += [{"labels": mark} for mark in marks]
        request = Request(
            f"{self._client.url}/api/v2/alerts",
            data=json.dumps(alerts).encode(),
            headers={"Content-Type": "application/json"},
        )
        urlopen(request, timeout=120).close()
        until(self._settled, "the alerts in Alertmanager")
        told = self._client.alerts()  # in the answer before, what came first was looked at before all had their effect
        names = {alert.fingerprint: alert.labels.get("name", "") for alert in told}
        assert set(firing) <= set(names.values())
        return {names[a.fingerprint]: names[a.inhibited_by[0]] for a in told if a.inhibited_by and "name" in a.labels}

    def _settled(self) -> list[RoutedAlert]:
        told = self._client.alerts()
        held = {alert.labels.get("post") for alert in told if alert.inhibited_by}
        return told if str(self._posts) in held else []


@contextlib.contextmanager
def running_alertmanager(config: str, folder: Path) -> Iterator[Inbox]:
    """Run an Alertmanager with the text of a generated `alertmanager.yml`, and one rule for marks of the test."""
    document = yaml.safe_load(config)
    mark = {
        "source_matchers": ['mark="source"'],
        "target_matchers": ['mark="target"'],
        "equal": ["post"],
    }
    document["inhibit_rules"].append(mark)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(document, sort_keys=False))
    (port,) = free_ports(1)
    client = Alertmanager(f"http://127.0.0.1:{port}")
    names = ("prometheus-alertmanager", "alertmanager")
    command = alertmanager_command(program(*names), folder / "alertmanager.yml", folder / "data", port)
    with _running("alertmanager", command, folder, client.ready):
        yield Inbox(client)


@contextlib.contextmanager
def running_pushgateway(folder: Path, **config: Any) -> Iterator[str]:
    """Run an empty Pushgateway with a web configuration file of these keys; give its `host:port`."""
    (folder / "web.yml").write_text(yaml.safe_dump(config))
    (port,) = free_ports(1)
    command = [
        str(program("prometheus-pushgateway")),
        f"--web.listen-address=127.0.0.1:{port}",
        f"--web.config.file={folder / 'web.yml'}",
        "--persistence.file=",  # Debian's would find what another one left
    ]

    def listens() -> bool:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return True
        return False

    with _running("pushgateway", command, folder, listens):
        yield f"127.0.0.1:{port}"
