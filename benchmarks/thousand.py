"""What `pipemon generate` and `pipemon check` take for a thousand failure modes over fifty stages, a tenth and tenfold.

In processor time of the whole command, which is what its user waits for where nobody else asks for the processor.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.many_modes import STAGES, write_spec
from benchmarks.measure import Effort, Row

COUNTS = (100, 1_000, 10_000)
TARGETS = {1_000: (2.0, 200.0)}
"""Seconds and megabytes at most."""
COMMANDS = ("generate", "check")


@dataclass(frozen=True)
class _Ran:
    seconds: float
    megabytes: float
    written: float


def rows(effort: Effort) -> list[Row]:
    found = []
    for command in COMMANDS:
        took = {}
        for count in COUNTS:
            if count > effort.many:
                break
            ran = took[count] = _ran(command, count, rounds=min(effort.rounds, 5) if count <= 1_000 else 1)
            seconds, megabytes = TARGETS.get(count, (None, None))
            what = f"{command} of {count:,} failure modes over {STAGES} stages"
            written = f"{ran.written:.0f} MB of files" if ran.written else ""
            found += [
                Row(f"{what}: the whole command", ran.seconds, " s", seconds, detail=written),
                Row(f"{what}: peak of resident memory", ran.megabytes, " MB", megabytes),
            ]
        if {1_000, 10_000} <= took.keys():
            ratio = took[10_000].seconds / took[1_000].seconds
            found.append(Row(f"{command} of 10,000 failure modes, against 1,000", ratio, at_most=11))
    return found


def _ran(command: str, count: int, rounds: int) -> _Ran:
    """Return the median round's time, and the most memory and text of any."""
    with TemporaryDirectory() as name:
        spec = write_spec(Path(name) / "spec", count)
        runs = [_once(command, spec, Path(name) / f"out-{number}") for number in range(rounds)]
    return _Ran(
        statistics.median(run.seconds for run in runs),
        max(run.megabytes for run in runs),
        max(run.written for run in runs),
    )


def _once(command: str, spec: Path, out: Path) -> _Ran:
    arguments = [sys.executable, "-m", "pipemon", command, str(spec)]
    if command == "generate":
        arguments += ["--out", str(out)]
    # As a user has it: compiled once, and not anew each time.
    surroundings = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, env=surroundings)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{' '.join(arguments)} ended with {process.returncode}"
    # Linux tells it in units of 1024 bytes.
    per_megabyte = 1e6 if sys.platform == "darwin" else 1e6 / 1024
    written = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    return _Ran(used.ru_utime + used.ru_stime, used.ru_maxrss / per_megabyte, written / 1e6)
