"""The roll-out of the speech example: what each of its faults sends, from real detectors and played reviewers."""

from __future__ import annotations

import random
from pathlib import Path

import cascade
import pytest
import rollout
import traffic
from phases import Phase, series
from real_speech import every_recording, heard_once
from rule_tests import check, fired

from pipemon.generate.inhibition import plan
from pipemon.generate.rules import rule_file, rules
from pipemon.spec.load import load_all
from pipemon.spec.modes import alert_name

pytestmark = pytest.mark.integration

FOLDER = Path(cascade.__file__).parent


def calls(answer: traffic.Answer) -> Phase:
    """An hour of calls, one every second."""
    draw = random.Random(1)
    playlist = traffic.shuffled(every_recording(), draw)
    return Phase(lambda: traffic.serve(next(playlist), None, None, draw.random(), "adult", answer), 60, 60)


def test_each_fault_of_a_roll_out_sends_one_alert(tmp_path: Path) -> None:
    (spec,) = load_all((FOLDER / "failure_modes.yaml", FOLDER / "rollout.yaml"))
    good, cuts_more, nobody_looks = rollout.begin(), rollout.begin(canary_mode=3), rollout.begin(never=1.0)
    with heard_once():
        phases = [calls(good), calls(cuts_more), calls(good), calls(nobody_looks)]
        recorded = series("speech", phases, calls=10 * len(every_recording()))
    expected = [
        fired("60m", "60m"),
        fired("120m", "60m", alert_name("speech", "canary-cuts-more")),
        fired("180m", "30m"),
        fired("240m", "60m", alert_name("speech", "nobody-looks")),
    ]
    check(rule_file(rules(plan(spec).spec)), recorded, expected, tmp_path, interval="1m", evaluation="4m")
