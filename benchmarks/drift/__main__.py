"""Measure and write benchmarks/drift/results.md: `python -m benchmarks.drift [--quick] [--out FILE]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.drift import false_alarms, power
from benchmarks.drift.tables import Table

RESULTS = Path(__file__).with_name("results.md")
SEED = 20_260_101


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift", description="What drift rules see.")
    parser.add_argument("--quick", action="store_true", help="a few windows, whose numbers mean nothing")
    parser.add_argument("--out", type=Path, help="the file for the tables")
    told = parser.parse_args()
    random = np.random.default_rng(SEED)
    many = 1 if told.quick else 100
    found = []
    tables: tuple[Callable[[], Table], ...] = (
        lambda: false_alarms.rule_of_thumb(random, 4 * many),
        lambda: false_alarms.emulated(random, 10 * many),
        lambda: false_alarms.by_promtool(random, *((1, 2, 3) if told.quick else (20, 4, 25))),
        lambda: false_alarms.autocorrelated(random, 1 if told.quick else 60),
        lambda: power.power(random, 30 * many),
        lambda: power.lengths(random, 40 * many),
    )
    for table in tables:
        found.append(table().text())
        print(found[-1], file=sys.stderr)
    text = "# What drift rules see\n\nBy `python -m benchmarks.drift`, seeded.\n\n" + "\n".join(found)
    out = told.out or (None if told.quick else RESULTS)
    if out is None:
        print(text)
    else:
        out.write_text(text)


if __name__ == "__main__":
    main()
