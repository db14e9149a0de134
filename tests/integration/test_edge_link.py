"""A device behind a link that is cut: it alerts alone, and the centre catches up once and alerts once."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote
from urllib.request import urlopen

import pytest
from real_servers import program, until

from pipemon.demo.processes import Child, children, free_ports, start
from pipemon.demo.servers import alertmanager_command, prometheus_command
from pipemon.generate.edge.device import edge
from pipemon.generate.output import Options, generate
from pipemon.prometheus import Prometheus

pytestmark = pytest.mark.integration

SPEC = """\
pipeline: line
owner: line-team
stages: {inspect: {}}
failure_modes:
  blind: {what: The camera sees nothing, stage: inspect, signal: error_ratio, above: 20%, severity: page,
          window: 1m, for: 30s, do: Clean the lens.}
"""

PIPELINE = """\
import pathlib, sys, time
import pipemon

line = pipemon.Pipeline("line", version="1")
fault = pathlib.Path(sys.argv[2])

@line.stage("inspect")
def inspect(part):
    if fault.exists():
        raise ValueError("no picture")
    return part

pipemon.expose(port=int(sys.argv[1]))
while True:
    try:
        inspect(1)
    except ValueError:
        pass
    time.sleep(0.02)
"""

SCALE = 60


class Link:
    """A TCP forwarder to a port, that can be cut: it takes no connections then, and those it has end."""

    def __init__(self, target: int) -> None:
        self._target = target
        (self.port,) = free_ports(1)
        self._listener: socket.socket | None = None
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def restore(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._run(self._accept, self._listener)

    def cut(self) -> None:
        if self._listener is None:
            return
        # A thread that waits in accept() or recv() is woken by a shutdown, not by a close.
        for each in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for each in (self._listener, *self._open):
            each.close()
        self._listener, self._open, self._threads = None, [], []

    def _run(self, work: object, *arguments: socket.socket) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self._target))
                except OSError:
                    # The centre is not there yet: whoever connects is told, and the next one finds it.
                    near.close()
                    continue
                self._open += [near, far]
                self._run(self._forward, near, far)
                self._run(self._forward, far, near)

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


@dataclass(frozen=True)
class Place:
    """A Prometheus with its Alertmanager, and what that one's receiver printed."""

    prometheus: Prometheus
    receiver: Child

    def told(self, *words: str) -> list[str]:
        """The receiver's lines that have all these words."""
        lines = self.receiver.log.read_text().splitlines()
        return [line for line in lines if all(word in line for word in words)]

    def samples(self, selector: str, over: str, at: float) -> dict[str, list[list[object]]]:
        """The stored samples of each series, as they are: times and values, without the device's label."""
        answer = urlopen(
            f"{self.prometheus.url}/api/v1/query?query={quote(f'{selector}[{over}]')}&time={at}", timeout=120
        )
        with answer:
            rows = json.load(answer)["data"]["result"]
        for row in rows:
            row["metric"].pop("site", None)
        return {json.dumps(row["metric"], sort_keys=True): row["values"] for row in rows}


@dataclass(frozen=True)
class Scene:
    device: Place
    centre: Place
    link: Link
    fault: Path


def run_units(made: Path, folder: Path, port: int, started: list[Child]) -> Place:
    """Start what the device's systemd units start; Prometheus on a port of the test."""
    folder.mkdir()
    programs = {
        "prometheus": [str(program("prometheus"))],
        "prometheus-alertmanager": [str(program("prometheus-alertmanager", "alertmanager"))],
        "pipemon": [sys.executable, "-m", "pipemon"],
    }
    named: dict[str, Child] = {}
    for unit in sorted((made / "edge").glob("*.service")):
        text = unit.read_text().replace("\\\n", " ").replace("/etc/pipemon", str(made)).replace("%S", str(folder))
        (line,) = [line for line in text.splitlines() if line.startswith("ExecStart=/usr/bin/env ")]
        name, *arguments = line.partition(" ")[2].replace("127.0.0.1:9090", f"127.0.0.1:{port}").split()
        # It would wait a minute at the end for a link that is gone by then.
        more = ["--storage.remote.flush-deadline=1s"] if name == "prometheus" else []
        named[name] = start(name, [*programs[name], *arguments, *more], folder / f"{name}.log")
    started += named.values()
    return Place(Prometheus(f"http://127.0.0.1:{port}"), named.get("pipemon", named["prometheus"]))


def run_centre(made: Path, folder: Path, ports: list[int], started: list[Child]) -> Place:
    """Start the centre's Prometheus and Alertmanager with the files generated for them, and a receiver."""
    folder.mkdir()
    serve = [sys.executable, "-m", "pipemon", "serve", f"--port={ports[2]}"]
    alertmanager = alertmanager_command(
        program("prometheus-alertmanager", "alertmanager"),
        made / "alertmanager" / "alertmanager.yml",
        folder / "alerts",
        ports[1],
    )
    prometheus = prometheus_command(program("prometheus"), made / "prometheus.yml", folder / "data", ports[0])
    receiver = start("receiver", serve, folder / "receiver.log")
    started += [
        receiver,
        start("alertmanager", alertmanager, folder / "alertmanager.log"),
        start("prometheus", [*prometheus, "--web.enable-remote-write-receiver"], folder / "prometheus.log"),
    ]
    return Place(Prometheus(f"http://127.0.0.1:{ports[0]}"), receiver)


@contextlib.contextmanager
def running(folder: Path, *, agent: bool) -> Iterator[Scene]:
    spec = folder / "line.yaml"
    spec.write_text(SPEC)
    ports = free_ports(7)
    device, centre, metrics = ports[:3], ports[3:6], ports[6]
    link = Link(centre[0])
    where = edge(f"http://127.0.0.1:{link.port}/api/v1/write", ["site=line-3"], agent, SCALE)
    for name, own in (("device", device), ("centre", centre)):
        url = f"http://127.0.0.1:{own[2]}/alerts"
        options = Options(SCALE, url, f"127.0.0.1:{own[1]}", (f"127.0.0.1:{metrics}",), edge=where)
        generate([spec], folder / f"{name}-files", options)
    (folder / "line.py").write_text(PIPELINE)
    fault = folder / "fault"
    with contextlib.ExitStack() as stack, children() as started:
        stack.callback(link.cut)
        link.restore()
        pipeline = [sys.executable, str(folder / "line.py"), str(metrics), str(fault)]
        started.append(start("pipeline", pipeline, folder / "pipeline.log"))
        far = run_units(folder / "device-files", folder / "device", device[0], started)
        near = run_centre(folder / "centre-files" / "centre", folder / "centre", centre, started)
        scene = Scene(far, near, link, fault)
        until(near.prometheus.ready, "the centre's Prometheus ready")
        until(lambda: near.prometheus.query("pipemon_stage_calls_total > 100"), "the device's calls at the centre")
        heard(scene)
        yield scene
        for child in started:
            child.check()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with running(tmp_path, agent=False) as found:
        yield found


def heard(scene: Scene) -> None:
    """Wait until the centre hears the device, and knows of all that was before."""
    query = "time() - pipemon_edge:last_heard_timestamp_seconds < 2"
    until(lambda: scene.centre.prometheus.query(query), "the device's heartbeat at the centre")


def test_a_fault_during_a_cut_is_told_at_the_device_then_and_at_the_centre_once_when_the_link_is_back(
    scene: Scene,
) -> None:
    device, centre, link = scene.device, scene.centre, scene.link
    link.cut()
    cut = time.time()
    scene.fault.touch()
    until(lambda: device.told("FIRING", "critical", "blind"), "the notification at the device")
    until(lambda: centre.told("FIRING", "edge-link-lost"), "the notice of the lost link at the centre")
    assert centre.told("blind") == []
    assert not centre.prometheus.query("pipemon_edge:alert_firing")

    link.restore()
    (line,) = until(lambda: centre.told("FIRING", "blind"), "the notification at the centre")
    assert "At line-3: Failures of inspect: above 20% over" in line
    back = time.time()
    until(lambda: centre.told("RESOLVED", "edge-link-lost"), "the notice's end")
    for selector in ("pipemon_stage_calls_total", "pipemon_stage_failures_total", "pipemon_edge:alert_firing", "up"):
        over = f"{round(back - cut) + 3}s"
        stored = centre.samples(selector, over, back - 2)
        assert stored == device.samples(selector, over, back - 2), selector
        assert stored, selector

    link.cut()
    until(lambda: len(centre.told("FIRING", "edge-link-lost")) == 2, "the second notice")
    assert centre.told("RESOLVED", "blind") == []
    link.restore()
    until(lambda: len(centre.told("RESOLVED", "edge-link-lost")) == 2, "the second notice's end")

    scene.fault.unlink()
    until(lambda: centre.told("RESOLVED", "blind"), "the end of the fault at the centre")
    assert len(centre.told("FIRING", "blind")) == 1
    assert len(device.told("FIRING", "blind")) == 1


def test_a_fault_that_came_and_went_during_a_cut_is_in_the_centres_series_and_told_at_the_device_only(
    scene: Scene,
) -> None:
    scene.link.cut()
    cut = time.time()
    scene.fault.touch()
    until(lambda: scene.device.told("FIRING", "blind"), "the notification at the device")
    scene.fault.unlink()
    until(lambda: scene.device.told("RESOLVED", "blind"), "the end of the fault at the device")
    scene.link.restore()
    heard(scene)
    until(lambda: scene.centre.told("RESOLVED", "edge-link-lost"), "the notice's end")
    assert scene.centre.samples("pipemon_edge:alert_firing", f"{round(time.time() - cut)}s", time.time())
    assert scene.centre.told("blind") == []


def test_behind_an_agent_the_centre_evaluates_and_a_lost_link_is_one_notice(tmp_path: Path) -> None:
    with running(tmp_path, agent=True) as scene:
        scene.fault.touch()
        (line,) = until(lambda: scene.centre.told("FIRING", "blind"), "the notification at the centre")
        assert "critical line/inspect" in line
        scene.link.cut()
        until(lambda: scene.centre.told("FIRING", "edge-link-lost"), "the notice of the lost link")
        assert len(scene.centre.told("FIRING", "edge-link-lost")) == 1
