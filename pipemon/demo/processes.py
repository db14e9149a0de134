"""Child processes that end with the demo, whatever ends it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipemon.errors import UnavailableError

# Asks Linux to kill the process when its parent dies, then becomes the command. A parent that was
# gone before the asking is told by the parent's id.
_BOUND = """\
import ctypes, os, signal, sys
try:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
except (OSError, AttributeError):
    pass
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


@dataclass(frozen=True)
class Child:
    """A running program in a process group of its own; what it prints goes to the file `log`."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def check(self) -> None:
        """Raise UnavailableError, with the last line of its log, if it has ended."""
        if (code := self.process.poll()) is not None:
            how = f"with code {code}" if code >= 0 else f"by {signal.Signals(-code).name}"
            raise UnavailableError(f"{self.name} ended {how}: {last_line(self.log) or 'it printed nothing'}")

    def kill(self) -> None:
        """End it and its own children at once, as a crash would."""
        self._signal(signal.SIGKILL)
        self.process.wait()

    def stop(self, patience: float = 5.0) -> None:
        """Ask it to end; end it after `patience` seconds."""
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(patience)
        self.kill()

    def _signal(self, number: signal.Signals) -> None:
        # The group outlives its leader where that left children behind.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)


def start(
    name: str,
    command: Sequence[str],
    log: Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Child:
    """Start a program, its path absolute, that on Linux ends with this process even where that is killed.

    Call it in the main thread: Linux counts the end of the calling thread as the parent's end.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _BOUND, str(os.getpid()), *command],
            cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    return Child(name, process, log)


@contextlib.contextmanager
def children() -> Iterator[list[Child]]:
    """Give a list; every child in it is stopped when the block ends, the last started first."""
    started: list[Child] = []
    try:
        yield started
    finally:
        with _undisturbed():
            for child in started:
                child._signal(signal.SIGTERM)
            deadline = time.monotonic() + 5.0
            for child in reversed(started):
                child.stop(max(0.0, deadline - time.monotonic()))


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep a second, impatient Ctrl-C from leaving children behind."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def last_line(log: Path) -> str:
    """Return the last line of a log that is not empty, or an empty string."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    return next((line for line in reversed(lines) if line), "")


def free_ports(count: int) -> list[int]:
    """Return `count` different loopback ports that nothing listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
