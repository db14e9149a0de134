"""Threads, tasks and worker processes at once, scraped and killed: the soak benchmark, shortened."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_workers_that_end_in_order_count_all_their_calls_while_others_are_killed_and_all_are_scraped() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "soak.py"), "--calls", "400000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.match(r"400,480 calls of 8 workers that ended, 4 killed, \d+ scrapes", done.stdout), done.stdout
