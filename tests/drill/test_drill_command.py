"""`pipemon drill`, end to end: a real service, Prometheus and Alertmanager; and which effects it asks for."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from click.testing import CliRunner, Result
from prometheus_client import CollectorRegistry
from real_servers import running_alertmanager, running_prometheus, until

import pipemon
from pipemon.drill.command import drill
from pipemon.drill.effects import ByHandError, Request, length, request
from pipemon.drill.record import Drilled, dump, read
from pipemon.drill.watch import Watch
from pipemon.errors import OptionError, UnavailableError
from pipemon.generate.inhibition import plan
from pipemon.generate.output import Options, generate
from pipemon.generate.rules import rules
from pipemon.instrument.drill import Drills
from pipemon.prometheus import ActiveAlert, Prometheus, Rule, read_page
from pipemon.spec.load import load
from pipemon.spec.model import Spec

TOKEN = "correct horse battery staple"
SCALE = 100

SPEC = """\
pipeline: chain
targets: {job: chain}
stages:
  first: {budget: 50ms, features: {input.level: dB, output.share: ratio}}
  second: {after: first, budget: 300ms}
failure_modes:
  crashes: {what: it raises, stage: first, signal: error_ratio, above: 10%, severity: page}
  empty: {what: nothing comes, stage: second, signal: null_ratio, above: 20%}
  never-empty: {what: always something comes, stage: second, signal: null_ratio, below: 1%}
  slow: {what: it takes long, stage: second, signal: {latency: p90}, above: budget}
  often-slow: {what: it mostly takes long, stage: second, signal: {latency: p50}, above: 1s}
  blind: {what: no levels, stage: first, signal: {missing_ratio: input.level}, above: 30%}
  angry: {what: users redo, stage: second, signal: {feedback: redo}, above: 5%}
  loud: {what: too loud, stage: first, signal: {mean: input.level}, above: -10 dB}
  odd: {what: share is odd, stage: first, signal: {mean: output.share}, outside: [0.4, 0.6]}
  soft-and-odd:
    what: both
    stage: first
    signals: {all: [{mean: input.level, below: -60 dB}, {mean: output.share, below: 0.3}]}
  silent: {what: nobody calls, signal: no_calls}
  rude: {what: nobody knows how to measure it}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "chain.yaml"
    path.write_text(SPEC)
    return path


class TestEffects:
    @pytest.fixture
    def spec(self, file: Path) -> Spec:
        return load(file)

    @staticmethod
    def asked(spec: Spec, name: str, part: float = 0.5, **now: float) -> Request:
        (mode,) = [mode for mode in spec.failure_modes if mode.name == name]
        return request(spec, mode, part, lambda _, each: now.get(each.feature.name) if each.feature else None)

    @pytest.mark.parametrize(
        ("name", "stage", "effects"),
        [
            ("crashes", "first", ("exception",)),
            ("empty", "second", ("null",)),
            ("slow", "second", ("latency=450ms",)),
            ("blind", "first", ("missing=input.level",)),
            ("angry", "second", ("feedback=redo",)),
        ],
    )
    def test_each_signal_has_its_effect(self, spec: Spec, name: str, stage: str, effects: tuple[str, ...]) -> None:
        assert self.asked(spec, name) == Request(stage, "stable", effects)

    def test_a_sum_has_the_effect_of_what_it_adds_up_in_more_calls_than_its_reference_value(self, file: Path) -> None:
        summed = "  adds-up: {what: they add up, stage: second, signal: {cusum: feedback redo}, above: 5%}\n"
        file.write_text(SPEC + summed)
        assert self.asked(load(file), "adds-up", 0.1) == Request("second", "stable", ("feedback=redo",))
        with pytest.raises(ByHandError, match="0704 of the calls"):
            self.asked(load(file), "adds-up", 0.07)

    @pytest.mark.parametrize(
        ("name", "now", "beyond"),
        [
            ("loud", {"level": -30.0}, lambda level, _: level > -10),
            ("odd", {"share": 0.5}, lambda _, share: share > 0.6),
            ("soft-and-odd", {"level": -30.0, "share": 0.5}, lambda level, share: level < -60 and share < 0.3),
        ],
    )
    @pytest.mark.parametrize("part", [0.1, 0.5, 1.0])
    def test_a_mean_is_shifted_from_where_it_is_to_beyond_the_threshold(
        self, spec: Spec, name: str, now: dict[str, float], beyond: Any, part: float
    ) -> None:
        means = {"level": -30.0, "share": 0.5}
        for effect in self.asked(spec, name, part, **now).effects:
            feature, _, by = effect.removeprefix("shift=").partition(":")
            means[feature.partition(".")[2]] += part * float(by)
        assert beyond(means["level"], means["share"])

    def test_what_holds_already_is_left_alone(self, spec: Spec) -> None:
        assert self.asked(spec, "soft-and-odd", level=-70.0, share=0.5).effects[0].startswith("shift=output.share:-")

    @pytest.mark.parametrize("name", ["silent", "rude", "never-empty", "often-slow"])
    def test_what_no_effect_brings_about_is_said(self, spec: Spec, name: str) -> None:
        with pytest.raises(ByHandError, match=name):
            self.asked(spec, name)

    def test_a_drill_outlasts_window_and_for(self, spec: Spec) -> None:
        for mode in spec.measurable:
            assert length(spec, mode) > mode.window + mode.for_


class TestRecord:
    def test_a_record_loads_back_equal(self, tmp_path: Path) -> None:
        drills = {"crashes": Drilled("2026-06-01T12:00:00+00:00", "notified", ("exception",), "9f2c01ab", 1.0, 2.0)}
        (tmp_path / "r.json").write_text(dump(drills))
        assert read(tmp_path / "r.json") == drills
        assert read(tmp_path / "none.json") == {}

    @pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1}', '{"a": {"at": "x"}}', '{"a": {"effects": 3}}'])
    def test_what_is_no_record_is_told_in_a_sentence(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "r.json").write_text(text)
        with pytest.raises(OptionError, match="can't be read as a record"):
            read(tmp_path / "r.json")

    def test_the_report_says_what_was_never_drilled_and_what_has_changed(self, file: Path) -> None:
        drilled = Drilled("2026-06-01T12:00:00+00:00", "notified", ("exception",), "00000000", 1.0, 2.0, 3.0, 4.0)
        vain = replace(drilled, outcome="not fired", pending=None, firing=None, notified=None, resolved=None)
        file.with_suffix(".drills.json").write_text(dump({"crashes": drilled, "empty": vain}))
        said = run(str(file.with_suffix("")), "--report").output
        assert "11 failure modes with an alert, 10 of them never seen to fire" in said
        assert "crashes: notified 2026-06-01, pending after 1s, firing after 2s, notified after 3s" in said
        assert "resolved 4s after its end, but its alert has changed since" in said
        assert "empty: never fired; drilled 2026-06-01 in vain" in said
        assert "slow: never drilled\n" in said
        assert "silent: never drilled (no effect of pipemon's brings no_calls about" in said


def run(*arguments: str) -> Result:
    return CliRunner(env={"PIPEMON_DRILL_TOKEN": TOKEN}).invoke(drill, arguments)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "say which failure mode"),
        (("--failure", "crashs"), "did you mean 'crashes'?"),
        (("--failure", "rude"), "has no alert"),
        (("--failure", "crashes", "--token-file", "/nowhere"), "the token can't be read"),
        (("--failure", "crashes", "--share", "2"), "not in the range"),
        (("--failure", "crashes", "--stage", "vad"), "--stage says where an --effect is brought about"),
    ],
)
def test_wrong_use_ends_with_2(file: Path, arguments: tuple[str, ...], told: str) -> None:
    ended = run(str(file), *arguments)
    assert ended.exit_code == 2
    assert told in ended.output


@pytest.fixture
def service() -> Iterator[tuple[int, Drills]]:
    """A service that is called 40 times a second, and allows drills; its port."""
    registry, stop = CollectorRegistry(), Event()
    chain = pipemon.Pipeline("chain", registry=registry)

    @chain.stage("first", output=pipemon.Feature("share", float))
    def first(value: float) -> float:
        return value

    @chain.stage("second", after="first")
    def second(value: float) -> float:
        return value

    def call() -> None:
        while not stop.wait(1 / 40):
            try:
                second(first(0.5))
            except RuntimeError:
                continue

    drills = pipemon.allow_drills(chain, token=TOKEN)
    assert drills is not None
    exposed = pipemon.expose(port=0, addr="127.0.0.1", registry=registry)
    caller = Thread(target=call, daemon=True)
    caller.start()
    yield exposed.port, drills
    stop.set()
    caller.join()
    drills.close()
    exposed.close()


@pytest.fixture
def inbox() -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Where Alertmanager sends to: its port, and the alerts that came."""
    came: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.extend(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["alerts"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
        yield server.server_port, came
        server.shutdown()


@pytest.mark.integration
def test_an_alert_is_seen_to_fire_to_arrive_and_to_resolve(
    file: Path, service: tuple[int, Drills], inbox: tuple[int, list[dict[str, Any]]], tmp_path: Path
) -> None:
    (port, drills), (receiver, came) = service, inbox
    options = Options(float(SCALE), f"http://127.0.0.1:{receiver}/", targets=(f"127.0.0.1:{port}",))
    out = tmp_path / "out"
    generate([file], out, options)
    routes = (out / "alertmanager" / "alertmanager.yml").read_text()
    with running_alertmanager(routes, tmp_path / "alertmanager") as routed:
        alertmanager = routed._client.url
        generate([file], out, replace(options, alertmanager=alertmanager.removeprefix("http://")))
        shutil.copytree(out / "rules", tmp_path / "prometheus" / "rules")
        with running_prometheus((out / "prometheus.yml").read_text(), tmp_path / "prometheus") as prometheus:
            until(lambda: prometheus.query("pipemon_stage_calls_total > 60"), "calls")
            places = ("--service", f"http://127.0.0.1:{port}", "--url", prometheus.url, "--alertmanager", alertmanager)
            refused = run(str(file), "--failure", "crashes", "--share", "0.9", "--time-scale", str(SCALE), *places)
            assert isinstance(refused.exception, OptionError)
            assert "allows a share of 0.5" in str(refused.exception)

            ended = run(str(file), "--failure", "crashes", "--time-scale", str(SCALE), *places)

            assert ended.exit_code == 0, ended.output
            assert prometheus.query("max_over_time(pipemon_drill_active[1m])")[0].value == 1
            assert prometheus.query("pipemon_drill_active == 0")
            until(lambda: {alert["status"] for alert in came} == {"firing", "resolved"}, "the end told too")
    assert {alert["labels"]["alertname"] for alert in came} == {"ChainCrashes"}
    (found,) = read(file.with_suffix(".drills.json")).values()
    assert found.outcome == "notified"
    assert found.pending is not None
    assert found.firing is not None
    assert found.notified is not None
    assert found.resolved is not None
    assert found.pending <= found.firing <= found.notified
    assert not drills.state()["drill"]["active"]
    assert "crashes: notified" in run(str(file), "--report").output


class Firing(Prometheus):
    """A Prometheus of which one alert fires, by its own account: what Alertmanager then does is the matter here."""

    def __init__(self, alert: str) -> None:
        super().__init__("http://127.0.0.1:1")
        self._alert = alert

    def rules(self) -> list[Rule]:
        active = ActiveAlert({}, {}, "firing")
        return [Rule(self._alert, "", "alerting", "", "ok", "", "firing", {}, (active,))]


@pytest.mark.integration
def test_what_is_held_back_or_reaches_nobody_is_not_taken_for_notified(file: Path, tmp_path: Path) -> None:
    generate([file], tmp_path / "out", Options(float(SCALE), "http://127.0.0.1:1/"))
    routes = (tmp_path / "out" / "alertmanager" / "alertmanager.yml").read_text()
    made = plan(load(file))
    labels = {
        rule.mode.name: {"alertname": rule.name, "pipeline": "chain", "stage": str(rule.mode.stage), **rule.labels}
        for rule in rules(made.spec).alerts
    }
    with running_alertmanager(routes, tmp_path) as inbox:
        watches = {
            name: Watch(Firing(labels[name]["alertname"]), inbox._client, labels[name]["alertname"]) for name in labels
        }
        for watch in watches.values():
            watch.begin()
        assert inbox.held_back({"crashes": labels["crashes"], "empty": labels["empty"]}) == {"empty": "crashes"}
        failed = "alertmanager_notification_requests_failed_total"
        pattern = re.compile(rf"^{failed}{{.*}} [1-9]", re.MULTILINE)
        until(lambda: pattern.search(read_page(f"{inbox._client.url}/metrics")), "a notification that failed")
        for name in ("crashes", "empty"):
            watches[name].look()
    assert (watches["empty"].held_back_by, watches["empty"].notified) == ("ChainCrashes", None)
    assert (watches["crashes"].held_back_by, watches["crashes"].notified) == ("", None)
    assert watches["crashes"].firing is not None
    assert watches["empty"].unsent() == ""
    assert watches["crashes"].unsent().startswith("Alertmanager had it, and sent no notification without a failure")


def test_without_a_prometheus_nothing_begins(file: Path, service: tuple[int, Drills]) -> None:
    port, drills = service
    place = f"http://127.0.0.1:{port}"
    ended = run(str(file), "--failure", "crashes", "--service", place, "--url", "http://127.0.0.1:1")
    assert isinstance(ended.exception, UnavailableError)
    assert drills.state()["drill"] is None
