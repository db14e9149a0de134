"""Prometheus and Alertmanager as the demo runs them, from a metric to the receiver, with the real programs."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from pipemon import catalogue as c
from pipemon.demo import servers
from pipemon.demo.numbers import stage_numbers
from pipemon.demo.processes import children, free_ports, start
from pipemon.demo.programs import find_program
from pipemon.errors import UnavailableError
from pipemon.generate.formats.scraping import prometheus_file
from pipemon.prometheus import Alertmanager, Prometheus
from pipemon.receiver.payload import Notification
from pipemon.receiver.server import listening, receiver_app
from pipemon.spec.model import Spec, Timing

PROMETHEUS = find_program("prometheus")
ALERTMANAGER = find_program("prometheus-alertmanager", "alertmanager")

RULES = {
    "groups": [
        {
            "name": "speech",
            "rules": [
                {"record": "speech:redo", "expr": "sum(redo)"},
                *(
                    {
                        "alert": f"Speech{stage}",
                        "expr": f'redo{{stage="{stage}"}} > 1',
                        "labels": {"pipeline": "speech", "failure_mode": f"{stage}-mode", "severity": "critical"},
                        "annotations": {"description": "redo is {{ $value }}, above 1"},
                    }
                    for stage in ("vad", "asr")
                ),
            ],
        }
    ]
}
ROUTES = {
    "route": {"receiver": "pipemon", "group_wait": "1s", "group_interval": "1s", "group_by": ["pipeline"]},
    "receivers": [{"name": "pipemon", "webhook_configs": [{"url": "RECEIVER"}]}],
    "inhibit_rules": [
        {
            "source_matchers": ['failure_mode="vad-mode"'],
            "target_matchers": ['failure_mode="asr-mode"'],
            "equal": ["pipeline"],
        }
    ],
}


SPEC = Spec("speech", "owner", "", Timing(scrape_interval=0.5), None, (), ())


@dataclass
class Running:
    prometheus: Prometheus
    alertmanager: Alertmanager
    redo: dict[str, int] = field(default_factory=lambda: {"vad": 0, "asr": 0})
    lines: list[tuple[str, str]] = field(default_factory=list)

    async def until(self, condition: Callable[[], bool], patience: float = 180.0) -> None:
        deadline = time.monotonic() + patience
        while not condition():
            assert time.monotonic() < deadline, self.lines
            await asyncio.sleep(0.1)


@asynccontextmanager
async def running(folder: Path, inhibition: bool) -> AsyncIterator[Running]:
    assert PROMETHEUS is not None
    assert ALERTMANAGER is not None
    ports = free_ports(2)
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    told = Running(Prometheus(urls[0]), Alertmanager(urls[1]))

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(text="".join(f'redo{{stage="{stage}"}} {value}\n' for stage, value in told.redo.items()))

    def deliver(notification: Notification) -> None:
        told.lines += [(alert.status, alert.failure_mode) for alert in notification.alerts]

    pipeline = web.Application()
    pipeline.router.add_get("/metrics", metrics)
    async with listening(pipeline, "127.0.0.1", 0) as target, listening(receiver_app(deliver), "127.0.0.1", 0) as port:
        rules, prometheus, alertmanager = (folder / name for name in ("rules/a.yml", "p.yml", "a.yml"))
        rules.parent.mkdir()
        rules.write_text(yaml.safe_dump(RULES))
        prometheus.write_text(prometheus_file([SPEC], [f"127.0.0.1:{target}"], f"127.0.0.1:{ports[1]}"))
        routes = yaml.safe_dump(ROUTES).replace("RECEIVER", f"http://127.0.0.1:{port}/alerts")
        alertmanager.write_text(routes if inhibition else servers.without_inhibition(routes))
        commands: Sequence[list[str]] = (
            servers.prometheus_command(PROMETHEUS, prometheus, folder / "p", ports[0]),
            servers.alertmanager_command(ALERTMANAGER, alertmanager, folder / "a", ports[1]),
        )
        with children() as started:
            for command in commands:
                started.append(start(Path(command[0]).name, command, folder / f"{len(started)}.log"))
            await told.until(lambda: told.prometheus.ready() and told.alertmanager.ready())
            yield told
            for child in started:
                child.check()


@pytest.mark.integration
@pytest.mark.skipif(not (PROMETHEUS and ALERTMANAGER), reason="needs prometheus and alertmanager on the PATH")
async def test_an_upstream_alert_is_notified_while_its_effect_is_held_back(tmp_path: Path) -> None:
    async with running(tmp_path, inhibition=True) as told:
        await told.until(lambda: [target.health for target in told.prometheus.targets()] == ["up"])
        assert told.prometheus.targets()[0].labels["job"] == "speech"
        assert [(rule.name, rule.type) for rule in told.prometheus.rules()] == [
            ("speech:redo", "recording"),
            ("Speechvad", "alerting"),
            ("Speechasr", "alerting"),
        ]
        told.redo["vad"] = 5
        await told.until(lambda: ("firing", "vad-mode") in told.lines)
        told.redo["asr"] = 5
        await told.until(lambda: any(alert.inhibited_by for alert in told.alertmanager.alerts()))
        held = {alert.labels["failure_mode"]: alert for alert in told.alertmanager.alerts()}
        assert held["asr-mode"].inhibited_by == (held["vad-mode"].fingerprint,)
        assert held["asr-mode"].state == "suppressed"
        firing = [alert for rule in told.prometheus.rules() for alert in rule.alerts]
        assert [(alert.state, alert.annotations["description"]) for alert in firing] == [
            ("firing", "redo is 5, above 1")
        ] * 2
        assert ("firing", "asr-mode") not in told.lines
        told.redo.update(vad=0, asr=0)
        await told.until(lambda: ("resolved", "vad-mode") in told.lines)
        now = time.time()
        (series,) = told.prometheus.query_range("speech:redo", now - 30, now, 0.5)
        assert {value for _, value in series.points} >= {0.0, 10.0}


@pytest.mark.integration
@pytest.mark.skipif(not (PROMETHEUS and ALERTMANAGER), reason="needs prometheus and alertmanager on the PATH")
async def test_without_inhibition_rules_the_effect_is_notified_too(tmp_path: Path) -> None:
    async with running(tmp_path, inhibition=False) as told:
        told.redo.update(vad=5, asr=5)
        await told.until(lambda: set(told.lines) == {("firing", "vad-mode"), ("firing", "asr-mode")})
        assert not any(alert.inhibited_by for alert in told.alertmanager.alerts())
        (tmp_path / "rules" / "a.yml").write_text("not rules")
        with pytest.raises(UnavailableError, match="refused: 500"):
            told.prometheus.reload()
        assert stage_numbers(told.prometheus, "speech", 15, []) == []


def test_grafana_is_provisioned_with_the_data_source_and_the_dashboards(tmp_path: Path) -> None:
    dashboards = tmp_path / "dashboards"
    dashboards.mkdir()
    (dashboards / "speech.json").write_text('{"uid": "pipemon-speech"}')
    folder = servers.provision_grafana(tmp_path, dashboards, "http://127.0.0.1:1", 0.75)
    source = yaml.safe_load((folder / "datasources" / "prometheus.yml").read_text())["datasources"][0]
    assert (source["url"], source["type"], source["jsonData"]["timeInterval"]) == (
        "http://127.0.0.1:1",
        "prometheus",
        "750ms",
    )
    provider = yaml.safe_load((folder / "dashboards" / "pipemon.yml").read_text())["providers"][0]
    assert provider["options"]["path"] == str(dashboards)
    assert servers.dashboard_paths(dashboards) == ["/d/pipemon-speech"]
    assert servers.grafana_environment(folder, tmp_path, 3000)["GF_PATHS_PROVISIONING"] == str(folder)


def test_grafanas_own_files_are_found_beside_its_program(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "grafana"
    defaults = tmp_path / "conf" / "defaults.ini"
    for path in (program, defaults):
        path.parent.mkdir()
        path.touch()
    assert servers.grafana_command(program) == [str(program), "server", f"--homepath={tmp_path}"]
    assert servers.grafana_command(tmp_path / "bin" / "grafana-server")[0].endswith("grafana-server")


def test_names_of_the_catalogue_are_those_that_the_live_numbers_ask_for() -> None:
    asked: list[str] = []

    class Silent(Prometheus):
        def query(self, promql: str, time: float | None = None) -> list[Any]:
            asked.append(promql)
            return []

    assert stage_numbers(Silent("http://127.0.0.1:1"), "speech", 15, ["words"]) == []
    text = " ".join(asked)
    known = {name for metric in c.METRICS.values() for name in metric.series}
    assert set(re.findall(r"pipemon_\w+", text)) <= known
    assert all("[15s]" in query for query in asked if "rate(" in query)
