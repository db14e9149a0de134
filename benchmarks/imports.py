"""What `import pipemon` costs beyond the two libraries that it needs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from tempfile import TemporaryDirectory

from benchmarks.measure import Effort, Row, nanoseconds, ratio

NEEDED = "prometheus_client, numpy"
BARE = f"import {NEEDED}"
# What a service does first: it is then that all of it is loaded.
OWN = "import pipemon; pipemon.Pipeline"
# The thread's own time: numpy starts threads that wait busily, for as long as the rest goes on importing.
TIMED = "from time import thread_time; begun = thread_time(); {does}; print(thread_time() - begun)"


def rows(effort: Effort) -> list[Row]:
    needed, own = [], []
    with TemporaryDirectory() as cache:
        # Both from bytecode, as pip leaves them, however this process was started.
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": cache}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for does in (BARE, OWN):
            _seconds(does, environment)
        for _ in range(effort.rounds):
            needed.append(_seconds(BARE, environment))
            own.append(_seconds(OWN, environment))
    mine, its = (nanoseconds(each, 1) / 1e6 for each in (own, needed))
    return [
        Row(
            f"import pipemon, against import {NEEDED}",
            ratio(own, needed),
            at_most=1.15,
            detail=f"{mine:.0f} ms against {its:.0f} ms",
        )
    ]


def _seconds(does: str, environment: Mapping[str, str]) -> float:
    command = [sys.executable, "-c", TIMED.format(does=does)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)
