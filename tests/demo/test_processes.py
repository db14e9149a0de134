"""Children of the demo end with it, whatever ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipemon.demo.processes import children, free_ports, start
from pipemon.errors import UnavailableError

# Ignores SIGTERM and has a child that does as well.
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
STUBBORN = f"""
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", {DEAF!r}], stdout=subprocess.PIPE)
child.stdout.readline()
print(os.getpid(), child.pid, flush=True)
time.sleep(600)
"""


def until(condition: object, patience: float = 90.0) -> bool:
    assert callable(condition)
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def printed_pids(log: Path) -> list[int]:
    return [int(word) for word in log.read_text().split()] if log.exists() else []


def test_a_child_and_its_own_children_end_with_the_block_even_if_they_ignore_sigterm(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with children() as started:
        started.append(start("stubborn", [sys.executable, "-c", STUBBORN], log))
        assert until(lambda: len(printed_pids(log)) == 2)
        pids = printed_pids(log)
        assert all(map(alive, pids))
    assert until(lambda: not any(map(alive, pids)))


def test_a_child_that_ended_is_told_with_its_last_line(tmp_path: Path) -> None:
    with children() as started:
        child = start("talker", [sys.executable, "-c", "print('so long\\n'); raise SystemExit(3)"], tmp_path / "log")
        started.append(child)
        child.process.wait()
        with pytest.raises(UnavailableError, match=r"^talker ended with code 3: so long$"):
            child.check()


def test_a_running_child_passes_the_check_and_ends_on_request(tmp_path: Path) -> None:
    with children() as started:
        child = start("sleeper", ["/bin/sleep", "600"], tmp_path / "log")
        started.append(child)
        child.check()
        child.stop()
        with pytest.raises(UnavailableError, match=r"^sleeper ended by SIGTERM: it printed nothing$"):
            child.check()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children of a killed parent")
def test_children_end_when_the_parent_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    parent = subprocess.Popen([
        sys.executable, "-c",
        "import sys, time; from pathlib import Path; from pipemon.demo.processes import start\n"
        f"start('child', ['/bin/sh', '-c', 'echo $$; exec sleep 600'], Path({str(log)!r})); time.sleep(600)",
    ])  # fmt: skip
    try:
        assert until(lambda: len(printed_pids(log)) == 1)
    finally:
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    assert until(lambda: not alive(printed_pids(log)[0]))


def test_free_ports_are_different() -> None:
    assert len(set(free_ports(20))) == 20
