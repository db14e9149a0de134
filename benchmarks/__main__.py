"""Measure and print one table: `python -m benchmarks [PART ...] [--quick] [--out FILE]`.

Without a part all of them are measured, and the table is written to benchmarks/results.md too.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path

from benchmarks.fetching import peers_folder
from benchmarks.measure import FULL, QUICK
from benchmarks.results import table

PARTS = ("calls", "streams", "threads", "scrape", "imports", "memory", "thousand", "evaluation", "dashboards")
RESULTS = Path(__file__).with_name("results.md")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="What monitoring costs.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; by default all")
    parser.add_argument("--quick", action="store_true", help="a few calls, whose numbers mean nothing")
    parser.add_argument("--out", type=Path, help="the file for the table")
    told = parser.parse_args()
    for part in told.parts:
        if part not in PARTS:
            parser.error(f"there is no part {part!r}; there are {', '.join(PARTS)}")
    sys.path.insert(0, str(peers_folder()))
    effort = QUICK if told.quick else FULL
    measured = []
    for part in told.parts or PARTS:
        print(f"measuring {part} ...", file=sys.stderr)
        measured.append((part, import_module(f"benchmarks.{part}").rows(effort)))
    text = table(measured)
    print(text)
    out = told.out or (None if told.parts or told.quick else RESULTS)
    if out is not None:
        out.write_text(text)


if __name__ == "__main__":
    main()
