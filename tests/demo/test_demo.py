"""The demo as a user runs it: the command, real programs, real speech."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

pytestmark = [pytest.mark.integration, pytest.mark.demo]


def demo(folder: Path, *options: str) -> subprocess.Popen[str]:
    """Start the demo with its temporary files under `folder`."""
    environment = {
        **os.environ,
        "TMPDIR": str(folder),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "pipemon", "demo", "--cache", str(REPOSITORY / ".cache"), *options],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, cwd=folder,
    )  # fmt: skip


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    """Give a list of processes that are ended with the test."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def programs_with(text: str) -> list[str]:
    """Return the commands that run now and name `text`."""
    commands = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if text in command:
            commands.append(command)
    return commands


def temporary(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("pipemon-demo-*")]


def test_each_fault_is_notified_its_effects_are_held_back_and_ctrl_c_ends_what_was_kept(
    tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    grafana = tmp_path / "bin" / "grafana"
    grafana.parent.mkdir()
    grafana.write_text("#!/bin/sh\nls $GF_PATHS_PROVISIONING/*\nexec sleep 600\n")
    grafana.chmod(0o755)
    process = demo(tmp_path, "--faults", "telephone,killed", "--keep")
    started.append(process)
    text = ""
    assert process.stdout is not None
    for line in process.stdout:
        text += line
        if "Grafana  " in line:
            break
    firing = re.findall(r"FIRING \w+ \S+ (\S+):", text)
    assert firing == ["telephone-microphones", "nobody-calls"], text
    assert re.search(r"Held back by inhibition: .*(gibberish|users-repeat-themselves)", text), text
    assert "telephone-microphones" in re.findall(r"RESOLVED \w+ \S+ (\S+) after", text), text
    urls = dict(re.findall(r"(Prometheus|Alertmanager|Grafana) +(http://127\.0\.0\.1:\d+)/", text))
    assert set(urls) == {"Prometheus", "Alertmanager", "Grafana"}, text
    kept = programs_with(str(tmp_path))
    assert len([command for command in kept if re.search(r"traffic\.py|prometheus|alertmanager", command)]) == 3, kept
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=120)
    assert process.returncode == 0, text + rest
    assert temporary(tmp_path) == []
    assert programs_with(str(tmp_path)) == []


def test_a_demo_that_is_stopped_on_the_way_leaves_nothing(tmp_path: Path, started: list[subprocess.Popen[str]]) -> None:
    process = demo(tmp_path)
    started.append(process)
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if "Good period" in line:
            break
    assert programs_with(str(tmp_path)), text
    process.send_signal(signal.SIGTERM)
    rest, _ = process.communicate(timeout=120)
    assert process.returncode == 143, text + rest
    assert temporary(tmp_path) == []
    assert programs_with(str(tmp_path)) == []


def test_a_fault_that_there_is_not_is_refused_before_anything_starts(tmp_path: Path) -> None:
    process = demo(tmp_path, "--faults", "loud")
    text, _ = process.communicate(timeout=240)
    assert (process.returncode, text) == (
        2,
        "pipemon: there is no fault 'loud'; the faults are telephone, slow, killed\n",
    )
