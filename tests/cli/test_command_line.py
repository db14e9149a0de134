"""The command line itself: help, hints, and ends without a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import pipemon

from pipemon.version import __version__

COMMANDS = (
    "init", "schema", "check", "generate", "diff", "push", "baseline", "backtest", "review", "slices",
    "expect", "drill", "watch", "serve", "demo",
)  # fmt: skip


def test_help_names_every_command() -> None:
    told = pipemon("--help")
    assert told.code == 0
    listed = told.out[told.out.index("Commands:") :].splitlines()[1:]
    assert {line.split()[0] for line in listed if line.strip()} == set(COMMANDS)
    assert all(len(line.split(maxsplit=1)) == 2 for line in listed if line.strip())


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_says_what_it_does_and_explains_its_options(command: str) -> None:
    told = pipemon(command, "--help")
    assert (told.code, told.err) == (0, "")
    assert told.out.startswith(f"Usage: pipemon {command} ")
    assert "--help" in told.out


def test_the_version_is_that_of_the_package() -> None:
    assert pipemon("--version").out == f"pipemon, version {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("generat", "speech.yaml"), "generate"),
        (("generate", "speech.yaml", "--outt", "x"), "--out"),
        (("baseline", "speech.yaml"), "--url"),
        (("baseline", "speech.yaml", "--url", "http://h:1", "--over", "30"), "30"),
        (("generate",), "SPECS"),
        (("generate", "speech.yaml", "--time-scale", "0"), "--time-scale"),
        (("generate", "speech.yaml", "--time-scale", "nan"), "'nan' is not a number"),
        (("generate", "speech.yaml", "--receiver", "pager"), "'pager' is no URL; write http://host:port"),
        (("generate", "speech.yaml", "--alertmanager", "http://h:9093"), "'http://h:9093' is not host:port"),
        (("generate", "speech.yaml", "--target", "speech=h"), "'h' is not host:port"),
        (("generate", "speech.yaml", "--time-scale", "inf"), "--time-scale"),
        (("baseline", "speech.yaml", "--url", "http://h:1", "--from", "nan"), "'nan' is not a time"),
        (("baseline", "speech.yaml", "--url", "http://h:1", "--from", "yesterday"), "'yesterday' is not a time"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_would_be_right(arguments: tuple[str, ...], hint: str) -> None:
    told = pipemon(*arguments)
    assert (told.code, told.out) == (2, "")
    assert hint in told.err
    assert "Traceback" not in told.err


def test_a_prometheus_that_is_not_there_is_told_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "speech.yaml").write_text("pipeline: speech\nstages: {vad: {}}\nfailure_modes: {a: {what: b}}\n")
    arguments = ("speech.yaml", "--url", "http://127.0.0.1:1", "--over", "30m", "--out", "baseline.json")
    told = pipemon("baseline", *arguments, cwd=tmp_path)
    assert (told.code, told.out) == (2, "")
    assert told.err == "pipemon: Prometheus can't be reached at http://127.0.0.1:1: Connection refused\n"
    assert not (tmp_path / "baseline.json").exists()


def test_output_into_a_pipe_that_closes_early_ends_quietly(tmp_path: Path) -> None:
    command = f"{sys.executable} -m pipemon --help | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=240)
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_onto_a_full_disk_ends_with_2_and_a_sentence() -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "pipemon", "schema"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=240)
    assert (done.returncode, done.stderr) == (
        2,
        "pipemon: cannot write what there is to say: no space left on device\n",
    )


@pytest.mark.integration
def test_ctrl_c_ends_a_waiting_command_without_a_traceback() -> None:
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "pipemon", "serve", "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    assert "Traceback" not in errors
    assert process.returncode in (0, 130)


def test_ctrl_c_while_code_is_imported_ends_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import pathlib, time\npathlib.Path('begun').touch()\ntime.sleep(240)\n")
    with subprocess.Popen(
        [sys.executable, "-m", "pipemon", "init", "slow:speech"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ,
    ) as process:  # fmt: skip
        deadline = time.monotonic() + 120
        while not (tmp_path / "begun").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    assert "Traceback" not in errors
    assert process.returncode == 130
