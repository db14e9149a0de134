"""The example's traffic: order, faults by the control file, listeners, and a clean end."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import cascade
import numpy as np
import pytest
import traffic
from detector import Audio
from prometheus_client import REGISTRY
from real_speech import every_recording
from recordings import Recording

HELLO = Recording("hello", np.zeros(16_000, np.int16), "hello there")


@pytest.fixture
def control(tmp_path: Path) -> Iterator[traffic.Control]:
    yield traffic.Control(tmp_path / "control.json")
    cascade.setup = cascade.Setup()


def write(control: traffic.Control, text: str) -> None:
    assert control.path is not None
    control.path.write_text(text)
    os.utime(control.path, ns=(0, time.monotonic_ns()))
    control.read()


def redos() -> float:
    labels = {
        "pipeline": "speech",
        "stage": "asr",
        "version": "1.0.0",
        "track": "stable",
        "signal": "redo",
        "slice": "",
    }
    return REGISTRY.get_sample_value("pipemon_feedback_total", labels) or 0.0


def test_every_recording_is_played_once_before_any_is_played_again() -> None:
    every = [Recording(str(number), HELLO.samples) for number in range(5)]
    names = [recording.name for recording in itertools.islice(traffic.shuffled(every, random.Random(1)), 15)]
    assert [sorted(names[at : at + 5]) for at in (0, 5, 10)] == [["0", "1", "2", "3", "4"]] * 3
    assert names == [recording.name for recording in itertools.islice(traffic.shuffled(every, random.Random(1)), 15)]
    assert names[:5] != names[5:10]


def test_no_control_file_means_no_fault(control: traffic.Control) -> None:
    control.read()
    assert (control.fault, control.strength, cascade.setup) == (None, None, cascade.Setup())


def test_the_control_file_switches_faults_on_and_off(control: traffic.Control) -> None:
    write(control, json.dumps({"fault": "slow", "strength": 1.2}))
    assert (control.fault, cascade.setup) == ("slow", cascade.Setup(wait=1.2))
    write(control, json.dumps({"fault": "aggressive_vad"}))
    assert (control.fault, cascade.setup) == ("aggressive_vad", cascade.Setup(vad_mode=3))
    write(control, json.dumps({"fault": "telephone_band", "strength": 0.9}))
    assert (control.fault, control.strength, cascade.setup) == ("telephone_band", 0.9, cascade.Setup())
    write(control, json.dumps({"fault": None, "strength": 0.0}))
    assert (control.fault, cascade.setup) == (None, cascade.Setup())


def test_a_control_file_that_is_removed_takes_its_fault_along(control: traffic.Control) -> None:
    write(control, json.dumps({"fault": "slow", "strength": 1.0}))
    assert control.path is not None
    control.path.unlink()
    control.read()
    assert (control.fault, cascade.setup) == (None, cascade.Setup())


@pytest.mark.parametrize("text", ['{"fault": "slw"}', "{", "[]", '{"fault": "slow", "strength": "much"}'])
def test_a_broken_control_file_is_told_and_leaves_the_last_fault(
    control: traffic.Control, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(control, json.dumps({"fault": "noise", "strength": 10}))
    write(control, text)
    assert (control.fault, control.strength) == ("noise", 10.0)
    assert "control.json: " in capsys.readouterr().err


@pytest.mark.parametrize(("said", "chance", "asked"), [("hello there", 0.3, 0), ("yellow bear", 0.3, 1), ("", 0.9, 0)])
def test_listeners_ask_again_when_the_transcript_is_wrong(
    said: str, chance: float, asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(audio: Audio, reference: str | None, _: str) -> cascade.Transcript:
        error = cascade.word_error_rate(reference or "", said)
        return cascade.Transcript(said, 1.0, 0.1, word_error_rate=error)

    monkeypatch.setattr(cascade, "answer", answer)
    before = redos()
    traffic.serve(HELLO, None, None, chance)
    assert redos() - before == asked


def test_calls_overlap_only_where_they_wait_for_a_busy_recogniser(
    control: traffic.Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, most, stop = 0, {0.0: 0, 0.5: 0}, threading.Event()
    guard = threading.Lock()

    def serve(*_: object) -> None:
        nonlocal running
        with guard:
            running += 1
            most[wait] = max(most[wait], running)
        time.sleep(0.3)
        with guard:
            running -= 1

    monkeypatch.setattr(traffic, "serve", serve)
    for wait in most:
        cascade.setup = cascade.Setup(wait=wait)
        control.path = None  # reads nothing, so the set-up stays
        traffic.play([HELLO], control, stop, rate=20, seconds=1.0)
    assert most[0.0] == 1
    assert 1 < most[0.5] <= traffic.MOST_CALLS


def test_where_nobody_calls_no_call_is_made(control: traffic.Control, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []
    monkeypatch.setattr(traffic, "serve", lambda *arguments: calls.append(arguments))
    write(control, json.dumps({"fault": "few_callers", "strength": 0}))
    traffic.play([HELLO], control, threading.Event(), rate=50, seconds=0.2)
    assert not calls
    write(control, json.dumps({"fault": "few_callers", "strength": 0.5}))
    traffic.play([HELLO], control, threading.Event(), rate=50, seconds=0.2)
    assert calls


def test_a_call_that_fails_is_told_and_does_not_end_the_traffic(
    control: traffic.Control, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = []

    def serve(*arguments: object) -> None:
        calls.append(arguments)
        raise RuntimeError("the decoder is gone")

    monkeypatch.setattr(traffic, "serve", serve)
    traffic.play([HELLO], control, threading.Event(), rate=50, seconds=0.5)
    assert len(calls) > 1
    assert "the decoder is gone" in capsys.readouterr().err


@pytest.mark.integration
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_script_says_when_it_is_ready_exposes_metrics_and_ends_cleanly(number: int, tmp_path: Path) -> None:
    every_recording()
    command = [sys.executable, traffic.__file__, "--port", "0", "--control", str(tmp_path / "control.json")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            ready = process.stdout.readline()
            assert ready.startswith("ready: "), ready
            with urllib.request.urlopen(ready.split()[-1], timeout=120) as answer:
                exposed = answer.read().decode()
            assert 'pipemon_pipeline_runs_total{pipeline="speech"' in exposed
            process.send_signal(number)
            _, errors = process.communicate(timeout=240)
        finally:
            process.kill()
    assert (process.returncode, errors) == (0, "")
