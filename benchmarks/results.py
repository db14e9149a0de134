"""The table of what was measured, with the machine and the versions."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from benchmarks.measure import Row

LIBRARIES = ("pipemon", "prometheus-client", "numpy", "autometrics", "opentelemetry-sdk")
HEAD = ("what", "measured", "target", "met", "", "command")
NOTES = """\
Ratios are medians of rounds in which the variants take turns in one process, in processor time of all its threads;
a call's are of what is added to the bare function. Threads are measured by the wall clock. autometrics asks for
prometheus-client below 0.18; here it runs with the version above, as pipemon and the decorator by hand do.
Dashboards are opened by asking a Prometheus all that Grafana asks, over the time that they show by default, an hour;
of the day behind it the last two hours have a sample each 15 seconds, the others one each two minutes.
"""


def table(parts: Sequence[tuple[str, Sequence[Row]]]) -> str:
    """Return Markdown: a heading, the machine, a line for each row."""
    lines = [_line(HEAD), _line(["---"] * len(HEAD))]
    for part, rows in parts:
        lines += [_line(_cells(row, f"`make bench PART={part}`")) for row in rows]
    return "\n".join(["# What monitoring costs", "", machine(), "", *lines, "", NOTES])


def machine() -> str:
    """Return the processor's model and cores, and the versions that matter; no name of the host."""
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{_processor()}, {os.cpu_count()} cores; {python}, {libraries}."


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def _cells(row: Row, command: str) -> tuple[str, ...]:
    target = ""
    if row.at_most is not None:
        target = f"at most {row.at_most:.3g}{row.unit}"
    elif row.at_least is not None:
        target = f"at least {row.at_least:.3g}{row.unit}"
    met = "" if row.met is None else "yes" if row.met else "**no**"
    return row.what, f"{row.measured:.3g}{row.unit}", target, met, row.detail, command


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
