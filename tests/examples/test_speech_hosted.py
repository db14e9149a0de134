"""The cascade at a customer's: each of its faults, and the one alert that it sends."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from unittest.mock import patch

import detector
import hosted
import pytest
from phases import Phase, series
from processor_time import by_processor_time, sleeping_by
from real_speech import every_recording, heard_once
from rule_tests import check, fired, rules_of

from pipemon.instrument import sampling

pytestmark = pytest.mark.integration

SPEC = Path(hosted.__file__).with_name("hosted.yaml")
ALERTS = {
    "line_cut": "LinesChange",
    "server_fails": "ServerFails",
    "server_slow": "ServerSlow",
    "server_deaf": "ServerHearsNothing",
    "canary_fails": "CanaryFailsMore",
    "words_forgotten": "WordsUnknown",
    "commands_lost": "CommandsLost",
    "commands_undone": "CommandsUndone",
    "commands_wrong": "CommandsWrongLate",
    "next_version_differs": "NextVersionDiffers",
}


def arrived(name: str) -> str:
    """A series as the customer's Prometheus has it, whose targets have labels of their own."""
    return re.sub(r'\bstage="', 'exported_stage="', name)[:-1] + ', customer="harbour", stage="production"}'


def test_each_fault_at_a_customer_sends_one_alert(tmp_path: Path) -> None:
    numbers = itertools.count()
    assert set(ALERTS) == set(hosted.FAULTS)

    def playing(setup: hosted.Setup, minutes: int) -> Phase:
        return Phase(lambda: hosted.call(every_recording(), next(numbers), setup), minutes, 60)

    good = hosted.Setup()
    phases, expected, now = [playing(good, 90)], [fired("90m", "90m")], 90
    for fault in (*list(ALERTS)[1:], "line_cut"):  # of which the hour after it is told, too: so it comes last
        phases += [playing(hosted.FAULTS[fault], 20), playing(good, 20)]
        expected += [fired(f"{now + 20}m", "12m", f"Hosted{ALERTS[fault]}"), fired(f"{now + 40}m", "2m")]
        now += 40
    with (
        by_processor_time(hosted.find_speech, hosted.dialogue) as clock,
        sleeping_by(clock, hosted, detector),
        patch.object(sampling, "perf_counter", clock),  # what began by one clock must not end by another
        heard_once(),
    ):
        recorded = series("hosted", phases[:-1], calls=48, beside="recogniser_")
    here = {arrived(name): values for name, values in recorded.items()}
    check(rules_of(SPEC), here, expected[:-1], tmp_path, interval="1m", evaluation="2m")
