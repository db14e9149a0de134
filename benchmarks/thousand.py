"""What `pipemon generate` takes for a thousand failure modes over fifty stages, a tenth of it and ten times as many."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.many_modes import STAGES, write_spec
from benchmarks.measure import Effort, Row

COUNTS = (100, 1_000, 10_000)
TARGETS = {1_000: (2.0, 200.0)}
"""Seconds and megabytes at most."""


@dataclass(frozen=True)
class _Ran:
    seconds: float
    megabytes: float
    written: float


def rows(effort: Effort) -> list[Row]:
    found = []
    took = {}
    for count in COUNTS:
        if count > effort.many:
            break
        ran = took[count] = _generated(count, rounds=min(effort.rounds, 5) if count <= 1_000 else 1)
        seconds, megabytes = TARGETS.get(count, (None, None))
        what = f"{count:,} failure modes over {STAGES} stages"
        found += [
            Row(
                f"generate, the whole command: {what}",
                ran.seconds,
                " s",
                seconds,
                detail=f"{ran.written:.0f} MB of files",
            ),
            Row(f"Peak of resident memory: {what}", ran.megabytes, " MB", megabytes),
        ]
    if {1_000, 10_000} <= took.keys():
        ratio = took[10_000].seconds / took[1_000].seconds
        found.append(Row("generate of 10,000 failure modes, against 1,000", ratio, at_most=11))
    return found


def _generated(count: int, rounds: int) -> _Ran:
    """Return the median round's time by the wall clock, and the most memory and text of any."""
    with TemporaryDirectory() as name:
        spec = write_spec(Path(name) / "spec", count)
        runs = [_once(spec, Path(name) / f"out-{number}") for number in range(rounds)]
    return _Ran(
        statistics.median(run.seconds for run in runs),
        max(run.megabytes for run in runs),
        max(run.written for run in runs),
    )


def _once(spec: Path, out: Path) -> _Ran:
    command = [sys.executable, "-m", "pipemon", "generate", str(spec), "--out", str(out)]
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{' '.join(command)} ended with {process.returncode}"
    # Linux tells it in units of 1024 bytes.
    per_megabyte = 1e6 if sys.platform == "darwin" else 1e6 / 1024
    written = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    return _Ran(seconds, used.ru_maxrss / per_megabyte, written / 1e6)
