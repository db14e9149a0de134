"""Measure and write into benchmarks/drift/results.md: `python -m benchmarks.drift [PART ...] [--quick] [--out FILE]`.

A part that is measured takes the place of its section; without parts all are measured.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.random import Generator

from benchmarks.drift import (
    beside,
    cusum,
    false_alarms,
    many,
    origin,
    power,
    real,
    same_hours,
    speech,
    sudden,
    unseen,
    weekly,
)
from benchmarks.drift.tables import Page, Table

RESULTS = Path(__file__).with_name("results.md")
SEED = 20_260_101

PARTS: Mapping[str, Callable[[Generator, bool], Table]] = {
    "rule_of_thumb": lambda random, quick: false_alarms.rule_of_thumb(random, 4 if quick else 400),
    "false_alarms": lambda random, quick: false_alarms.by_promtool(random, 100 if quick else 4000),
    "emulated": lambda random, quick: false_alarms.emulated(random, 10 if quick else 1000),
    "few": lambda random, quick: false_alarms.few(random, 4 if quick else 150),
    "autocorrelated": lambda random, quick: false_alarms.autocorrelated(random, 1 if quick else 60),
    "many": lambda random, quick: many.many(random, *((10, 20) if quick else (400, 250))),
    "car_loans": lambda random, quick: real.car_loans(),
    "flights": lambda random, quick: real.us_flights(),
    "unseen": lambda random, quick: unseen.unseen(random),
    "unseen_beside": lambda random, quick: unseen.beside(random),
    "beside": lambda random, quick: beside.beside(random, *((1, 5) if quick else (20, 100))),
    "means": lambda random, quick: beside.means(random, *((4, 8) if quick else (400, 2000))),
    "costs": lambda random, quick: beside.costs(random),
    "power": lambda random, quick: power.power(random, *((2, 100) if quick else (30, 1500))),
    "run_lengths": lambda random, quick: power.lengths(random, 40 if quick else 4000),
    "cusum": lambda random, quick: cusum.run_lengths(random, *((100, 1e5) if quick else (4000, 4e7))),
    "sudden": lambda random, quick: sudden.sudden(random, 2 if quick else 8),
    "same_hours": lambda random, quick: same_hours.rhythms(random, 1 if quick else 40),
    "weekly": lambda random, quick: weekly.weekly(random, 2 if quick else 200),
    "origin": lambda random, quick: origin.origin(random, 40 if quick else 2000),
    "speech": lambda random, quick: speech.speech(random, 5 if quick else 200),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift", description="What drift rules see.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; by default all")
    parser.add_argument("--quick", action="store_true", help="a few windows, whose numbers mean nothing; only printed")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the file with the tables")
    told = parser.parse_args()
    for part in told.parts:
        if part not in PARTS:
            parser.error(f"there is no part {part!r}; there are {', '.join(PARTS)}")
    page = Page("What drift rules see", "python -m benchmarks.drift", tuple(PARTS))
    for part in told.parts or PARTS:
        print(f"measuring {part} ...", file=sys.stderr)
        found = PARTS[part](np.random.default_rng(SEED), told.quick)
        print(found.text())
        if not told.quick:
            page.write(told.out, part, found)


if __name__ == "__main__":
    main()
