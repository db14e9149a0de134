"""Faults of the speech example through its real stages and its rules: the one alert that each sends."""

from __future__ import annotations

import random
from itertools import count
from pathlib import Path

import cascade
import pytest
import traffic
from phases import Phase, series
from real_speech import every_recording, heard_once
from rule_tests import check, fired

from pipemon.generate.inhibition import plan
from pipemon.generate.rules import rule_file, rules
from pipemon.spec.load import load
from pipemon.spec.modes import alert_name

pytestmark = pytest.mark.integration

SPEC = Path(cascade.__file__).with_name("failure_modes.yaml")

ONE_ALERT = {
    "children": ("not-for-everyone", set()),
    "open_microphone": ("microphones-left-open", {"vad-trims-words"}),
    "clipping": ("overdriven-microphones", {"gibberish", "users-repeat-themselves", "new-handsets", "vad-trims-words"}),
}
"""For each fault the failure mode whose alert is sent, and its effects, which fire and are held back."""


def caller(fault: str | None) -> Phase:
    """A hundred minutes of calls under a fault, one every second.

    In five rounds of the sixteen recordings every fifth call is a child's: each recording once.
    """
    draw = random.Random(1)
    playlist = traffic.shuffled(every_recording(), draw)

    numbers = count()

    def call() -> None:
        age = "adult" if next(numbers) % 5 else "child"
        traffic.serve(next(playlist), fault, None, draw.random(), age)

    return Phase(call, 100, 60)


@pytest.mark.parametrize("fault", ONE_ALERT)
def test_each_fault_sends_one_alert_and_its_effects_are_held_back(fault: str, tmp_path: Path) -> None:
    made = plan(load(SPEC))
    cause, effects = ONE_ALERT[fault]
    assert effects <= set(made.targets.get(cause, ()))
    alerts = [alert_name("speech", name) for name in (cause, *effects)]
    with heard_once():
        recorded = series("speech", [caller(None), caller(fault)], calls=5 * len(every_recording()))
    expected = [fired("100m", "100m"), fired("200m", "100m", *alerts)]
    check(rule_file(rules(made.spec)), recorded, expected, tmp_path, interval="1m")
