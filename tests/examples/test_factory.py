"""The factory's stages under each fault, and the one alert that its rules then send: real plates, a real promtool."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

import distances
import inspection
import phases
import pytest
from disturbances import FAULTS, set_up
from factory_scrapes import scraped
from inspection import Setup
from phases import Phase
from processor_time import by_processor_time, sleeping_by
from production import Line
from real_servers import running_alertmanager
from rule_tests import check, fired

from pipemon.generate.alertmanager import alertmanager_file
from pipemon.generate.inhibition import Plan, plan
from pipemon.generate.rules import rule_file, rules
from pipemon.spec.load import load
from pipemon.spec.modes import alert_name

SPEC = Path(inspection.__file__).with_name("failure_modes.yaml")
WELL, BROKEN = 24, 52
"""Scrapes, 15 seconds apart: six good minutes, then thirteen."""

ONE_ALERT = {
    "lamps_dimmed": ("lamps-changed", {"scratches-missed"}),
    "lamps_aging": ("lamps-growing-old", set()),
    "lens_dirty": ("lens-dirty", {"scratches-missed"}),
    "camera_frozen": ("camera-frozen", {"scratches-missed", "good-plates-rejected"}),
    "crop_shifted": ("crop-shifted", {"good-plates-rejected"}),
    "slow_classifier": ("slow-classifier", set()),
    "canary_worse": ("canary-worse", set()),
}
"""For each fault the failure mode whose alert is sent, and its effects, which fire and are held back."""


@pytest.fixture(scope="module", autouse=True)
def _whatever_else_runs_here() -> Iterator[None]:
    """Measure the stages by the processor time that they take, and what the hot tablet loses."""
    stages = (inspection.take_picture, inspection.cut_out, inspection.classify, inspection.classify_by_candidate)
    with by_processor_time(*stages, inspection.inspect) as clock, sleeping_by(clock, inspection):
        yield


@pytest.fixture(scope="module")
def made() -> Plan:
    return plan(load(SPEC))


def mean(measured: distances.Measured, feature: str) -> float:
    return fmean(measured[feature])


@pytest.fixture(scope="module")
def good() -> distances.Measured:
    return distances.measure(Setup())


class TestTheClassifier:
    def test_is_good_in_the_light_it_was_trained_in(self, good: distances.Measured) -> None:
        assert mean(good, "missed") < 0.02
        assert mean(good, "rejected") < 0.02
        assert mean(good, "unsure") < 0.03

    @pytest.mark.parametrize("fault", ["lamps_dimmed", "lens_dirty"])
    def test_misses_scratches_in_weak_light_and_behind_oil(self, fault: str) -> None:
        assert mean(distances.measure(set_up(fault)), "missed") > 0.1

    def test_that_was_trained_on_too_little_is_less_sure(self, good: distances.Measured) -> None:
        worse = distances.measure(set_up("canary_worse"), candidate=True)
        assert mean(worse, "confidence") < 0.94 * mean(good, "confidence")


def test_every_fault_has_its_one_alert(made: Plan) -> None:
    assert set(ONE_ALERT) == set(FAULTS)
    assert {alert for alert, _ in ONE_ALERT.values()} <= {mode.name for mode in made.spec.measurable}


@pytest.mark.parametrize("fault", [name for name, fault in FAULTS.items() if fault.begins is None])
def test_each_fault_sends_one_alert_and_its_effects_are_held_back(fault: str, made: Plan, tmp_path: Path) -> None:
    cause, effects = ONE_ALERT[fault]
    assert effects <= set(made.targets.get(cause, ()))
    names = [alert_name("factory", name) for name in (cause, *effects)]
    series = scraped((None, WELL), (fault, BROKEN), frames=1 if fault == "slow_classifier" else 4)
    expected = [fired("6m", "6m"), fired("18m", "12m", *names)]
    check(rule_file(rules(made.spec)), series, expected, tmp_path)


def test_what_comes_by_and_by_sends_its_alert_before_anything_else_is_wrong(made: Plan, tmp_path: Path) -> None:
    line, usual, (alert, _) = Line(), inspection.camera, ONE_ALERT["lamps_aging"]

    def light(progress: float) -> Phase:
        """An hour of a frame a second."""

        def frame() -> None:
            inspection.camera.setup = set_up("lamps_aging", progress=progress)
            line.next_frame()

        return Phase(frame, 60, 60)

    inspection.camera = inspection.Camera()
    try:
        series = phases.series("factory", [light(hours / 4) for hours in range(5)], calls=150)
    finally:
        inspection.camera = usual
    expected = [fired("1h", "1h"), fired("5h", "4h", alert_name("factory", alert))]
    check(rule_file(rules(made.spec)), series, expected, tmp_path, interval="1m", evaluation="4m")


def test_alertmanager_sends_the_lamps_and_holds_back_what_they_lead_to(made: Plan, tmp_path: Path) -> None:
    labels = {
        rule.mode.name: {"alertname": rule.name, "pipeline": "factory", "stage": str(rule.mode.stage), **rule.labels}
        for rule in rules(made.spec).alerts
    }
    firing = {name: labels[name] for name in ("lamps-changed", "scratches-missed", "slow-classifier")}
    with running_alertmanager(alertmanager_file([made], "http://127.0.0.1:1/"), tmp_path) as inbox:
        assert inbox.held_back(firing) == {"scratches-missed": "lamps-changed"}
