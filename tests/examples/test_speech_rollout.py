"""The roll-out of the speech example: what each of its faults sends, from real detectors and played reviewers."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import cascade
import pytest
import rollout
import traffic
from phases import Phase, scraped, series
from real_speech import every_recording, heard_in_order, heard_once
from rule_subsets import without_drift
from rule_tests import check, fired
from test_speech_files import of_few

from pipemon.generate.inhibition import plan
from pipemon.generate.rules import rule_file, rules
from pipemon.spec.load import load_all
from pipemon.spec.modes import alert_name

pytestmark = pytest.mark.integration

FOLDER = Path(cascade.__file__).parent
OF_A_PLAN = {
    "cuts_more": "canary-cuts-more",
    "finds_nothing": "canary-finds-nothing",
    "shadow_differs": "shadow-differs",
    "unsure": "more-to-review",
    "mixed_up": "too-sure",
    "nobody_looks": "nobody-looks",
}
OF_THE_CALLS = (
    ("gain", -5.0, ["level-stays-off"]),
    ("fast_talkers", 1.2, ["more-to-review", "speech-too-fast"]),
)
"""Faults of the calls, their strength, the ticket if there is one, and what is in burn-in, so told to nobody."""


def calls(answer: traffic.Answer, fault: str | None = None, strength: float | None = None) -> Phase:
    """An hour of calls, one every second."""
    heard_in_order(fault, strength)
    draw = random.Random(1)
    playlist = traffic.shuffled(every_recording(), draw)
    return Phase(lambda: traffic.serve(next(playlist), fault, strength, draw.random(), "adult", answer), 60, 60)


def test_each_fault_of_a_roll_out_sends_one_alert(tmp_path: Path) -> None:
    (spec,) = load_all((FOLDER / "failure_modes.yaml", FOLDER / "rollout.yaml"))
    assert set(OF_A_PLAN) == set(rollout.FAULTS)
    good = rollout.begin(rollout.Plan())
    wrong = [(calls(rollout.begin(rollout.FAULTS[fault])), [alert]) for fault, alert in OF_A_PLAN.items()]
    wrong += [(calls(good, fault, strength), alerts) for fault, strength, alerts in OF_THE_CALLS]
    phases, expected = [calls(good)], [fired("60m", "60m")]
    for number, (phase, alerts) in enumerate(wrong, start=2):  # one after the other: half an hour ends the one before
        phases.append(phase)
        expected.append(fired(f"{60 * number}m", "16m", *(alert_name("speech", alert) for alert in alerts)))
    with heard_once():
        recorded = series("speech", phases, calls=6 * len(every_recording()))
    quick = tuple(mode for mode in without_drift(spec).failure_modes if mode.name != "all-at-once")  # that is of drift
    file = rule_file(rules(plan(replace(spec, failure_modes=quick)).spec))
    check(file, recorded, expected, tmp_path, interval="1m", evaluation="4m")


def test_calls_that_wait_for_the_recogniser_pile_up(tmp_path: Path) -> None:
    arrived, go = threading.Semaphore(0), threading.Event()

    def wait(_: float) -> None:
        arrived.release()
        go.wait(60)

    clock = SimpleNamespace(sleep=wait, perf_counter=time.perf_counter)
    caller = (every_recording()[0], "slow", None, 0.5)
    threads = [threading.Thread(target=traffic.serve, args=caller) for _ in range(14)]
    with heard_once(), patch.object(cascade, "time", clock), patch.object(cascade, "setup", traffic.set_up("slow")):
        for thread in threads:
            thread.start()
        for _ in threads:
            assert arrived.acquire(timeout=60)
        waiting = {name: f"{value}x30" for name, value in scraped("speech").items() if "_in_progress" in name}
        go.set()
        for thread in threads:
            thread.join()
    rule = of_few("rollout.yaml", "calls-pile-up")
    check(rule, waiting, [fired("30m", "30m", alert_name("speech", "calls-pile-up"))], tmp_path, interval="1m")
