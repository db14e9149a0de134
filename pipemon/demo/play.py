"""`pipemon demo`: sets the stage, plays the script, gives the verdict."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pipemon.demo import servers
from pipemon.demo.example import copy_example
from pipemon.demo.performance import Performance
from pipemon.demo.processes import Child, children, free_ports, last_line, start
from pipemon.demo.programs import default_cache, find_program, program
from pipemon.demo.screen import Screen
from pipemon.demo.script import Step, script
from pipemon.demo.verdict import failures, rows
from pipemon.errors import DeclarationError, UnavailableError
from pipemon.prometheus import Alertmanager, Prometheus
from pipemon.receiver.payload import Notification
from pipemon.receiver.server import listening, receiver_app
from pipemon.receiver.worker import Settings, Worker, working

SCRAPE_INTERVAL = 15.0
"""Seconds, before the time scale; the example's failure modes say the same."""

_START_PATIENCE = 30.0


@dataclass(frozen=True)
class Options:
    """How to play: `seed` draws order and strength of the faults, 0 the usual; `faults` names some, () is all.

    `cache` keeps what was downloaded, by default in the user's cache. `time_scale` divides every duration.
    `keep` leaves all running at the end, until Ctrl-C. Without `inhibition` the effects are notified too.
    """

    seed: int = 0
    keep: bool = False
    cache: Path | None = None
    time_scale: float = 20.0
    inhibition: bool = True
    faults: tuple[str, ...] = ()


def play(options: Options) -> int:
    """Play the demo in the main thread; return 0 if all came as it has to, 1 if not.

    Stopped by Ctrl-C before its end it returns 130, by SIGTERM 143.

    Raises DeclarationError for an unknown fault, and UnavailableError, with one sentence, where a program
    or a recording can't be had or a server does not start. No child and no file outlives it.
    """
    try:
        steps = script(options.seed, options.faults)
    except ValueError as error:
        raise DeclarationError(str(error)) from None
    screen = Screen()
    try:
        with tempfile.TemporaryDirectory(prefix="pipemon-demo-") as folder, children() as started:
            return asyncio.run(_play(options, steps, screen, Path(folder), started))
    except (KeyboardInterrupt, asyncio.CancelledError) as stop:
        screen.say("Stopped; nothing is left running.")
        return 130 if isinstance(stop, KeyboardInterrupt) else 143


async def _play(options: Options, steps: tuple[Step, ...], screen: Screen, folder: Path, started: list[Child]) -> int:
    me = asyncio.current_task()
    assert me is not None
    # Ctrl-C already cancels; the other polite ways to end a program have to clean up as well.
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, me.cancel)
    with screen:
        try:
            async with _stage(options, screen, folder, started) as performance:
                observed = await performance.play(steps)
                failed = failures(observed)
                screen.table(rows(observed))
                screen.verdict(failed)
                if failed:
                    _show_logs(screen, started)
                if options.keep:
                    await _keep(performance, screen, folder, started)
                return 1 if failed else 0
        except UnavailableError:
            _show_logs(screen, started)
            raise


@asynccontextmanager
async def _stage(options: Options, screen: Screen, folder: Path, started: list[Child]) -> AsyncIterator[Performance]:
    """Set the stage: files generated; the pipeline, Prometheus, Alertmanager and the receiver running."""
    cache = (options.cache or default_cache()).absolute()
    example = copy_example(folder, cache)
    screen.phase("Finding Prometheus, Alertmanager and the recordings")
    prometheus_program = await asyncio.to_thread(program, ("prometheus",), "prometheus", cache)
    names = ("prometheus-alertmanager", "alertmanager")
    alertmanager_program = await asyncio.to_thread(program, names, "prometheus-alertmanager", cache)
    await example.fetch_recordings()

    ports = free_ports(3)
    prometheus, alertmanager = (f"http://{servers.HOST}:{port}" for port in ports[:2])

    def run(name: str, command: list[str], env: dict[str, str] | None = None) -> Child:
        started.append(start(name, command, folder / f"{name}.log", folder, env))
        return started[-1]

    def start_traffic() -> Child:
        return run("pipeline", example.traffic_command(ports[2], options.seed), example.environment)

    async def configure() -> None:
        await example.generate(
            "--time-scale", f"{options.time_scale:g}",
            "--target", f"{servers.HOST}:{ports[2]}",
            "--alertmanager", f"{servers.HOST}:{ports[1]}",
            "--receiver", f"http://{servers.HOST}:{receiver}/alerts",
        )  # fmt: skip
        if not options.inhibition:
            routes.write_text(servers.without_inhibition(routes.read_text(encoding="utf-8")), encoding="utf-8")

    routes = example.generated / "alertmanager" / "alertmanager.yml"
    performance = Performance(
        example, options.time_scale, options.inhibition, screen,
        Prometheus(prometheus), Alertmanager(alertmanager), start_traffic, configure,
    )  # fmt: skip
    settings = Settings(folder / "receiver.sqlite", example.actions)
    async with (
        working(settings, performance.acted, performance.ended) as worker,
        _listening(worker, performance) as receiver,
    ):
        screen.phase("Generating rules, routes and dashboards from the failure modes")
        await configure()
        screen.phase("Starting the pipeline, Alertmanager and Prometheus")
        performance.revive()
        assert performance.traffic is not None
        await _until_ready(performance.traffic, lambda: _accepts(ports[2]))
        command = servers.alertmanager_command(alertmanager_program, routes, folder / "alertmanager", ports[1])
        await _until_ready(run("alertmanager", command), performance.alertmanager.ready)
        config = example.generated / "prometheus.yml"
        command = servers.prometheus_command(prometheus_program, config, folder / "prometheus", ports[0])
        await _until_ready(run("prometheus", command), performance.prometheus.ready)
        performance.servers = tuple(child for child in started if child is not performance.traffic)
        yield performance


def _listening(worker: Worker, performance: Performance) -> AbstractAsyncContextManager[int]:
    def deliver(told: Notification) -> None:
        worker.take(told)
        performance.deliver(told)

    return listening(receiver_app(deliver), servers.HOST, 0)


async def _until_ready(child: Child, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _START_PATIENCE
    while not ready():
        child.check()
        if time.monotonic() > deadline:
            raise UnavailableError(f"{child.name} was not ready within {_START_PATIENCE:.0f} seconds")
        await asyncio.sleep(0.2)


def _accepts(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1.0)
        return client.connect_ex((servers.HOST, port)) == 0


async def _keep(performance: Performance, screen: Screen, folder: Path, started: list[Child]) -> None:
    """Leave all running, the pipeline well again, until Ctrl-C; tell where to look."""
    performance.revive()
    prometheus, alertmanager = performance.prometheus.url, performance.alertmanager.url
    screen.phase("All is left running; Ctrl-C ends it")
    screen.say(f"Prometheus    {prometheus}/alerts")
    screen.say(f"Alertmanager  {alertmanager}/#/alerts")
    dashboards = performance.example.generated / "grafana" / "dashboards"
    if grafana := find_program("grafana", "grafana-server"):
        (port,) = free_ports(1)
        interval = SCRAPE_INTERVAL / performance.time_scale
        provisioning = servers.provision_grafana(folder, dashboards, prometheus, interval)
        environment = servers.grafana_environment(provisioning, folder / "grafana" / "data", port)
        log = folder / "grafana.log"
        started.append(start("grafana", servers.grafana_command(grafana), log, folder, {**os.environ, **environment}))
        for path in servers.dashboard_paths(dashboards):
            screen.say(f"Grafana       http://{servers.HOST}:{port}{path}")
    else:
        screen.say(f"There is no Grafana on the PATH; the dashboards are in {dashboards}")
    try:
        await performance.watch()
    except asyncio.CancelledError:
        # The way to end it that was told: the verdict stands.
        if me := asyncio.current_task():
            me.uncancel()


def _show_logs(screen: Screen, started: list[Child]) -> None:
    for log in dict.fromkeys(child.log for child in started):
        if line := last_line(log):
            screen.say(f"{log.stem} printed last: {line}")
