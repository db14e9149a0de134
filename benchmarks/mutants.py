"""Faults put into the generated rules, one at a time: `python -m benchmarks.mutants [SPEC ...] [--every N]`.

Each mutant is given to the generated tests of every failure mode that needs its rule, and is found when one fails;
several are given to one promtool, each under names of its own. The table says how many of each family were; the
survivors follow it. Exits with 1 where a family has less than 95%. What was found is in `mutants.md`.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "generate"))

from mutant_judge import Judge, judges  # noqa: E402
from mutants import Mutant, mutants  # noqa: E402
from rule_subsets import documents  # noqa: E402

from pipemon.generate.inhibition import plan  # noqa: E402
from pipemon.generate.rules import rules  # noqa: E402
from pipemon.spec.load import load  # noqa: E402

SPECS = tuple(
    ROOT / "tests" / "generate" / f"{name}.yaml" for name in ("every_signal", "combined", "drifting", "shifting")
)
MUST_BE_FOUND = 0.95


class Subject:
    """The mutants of one spec's rules, and who judges them."""

    def __init__(self, spec: Path) -> None:
        self.name = spec.stem
        made = rules(plan(load(spec)).spec)
        document, files = documents(made)
        self.judges = judges(made, document, files)
        self.mutants = list(mutants(document))

    def survivors(self, tried: Iterable[int], folder: Path, workers: int) -> list[Mutant]:
        """Return the mutants, of those with these numbers, that no test finds."""
        left = {number: self.mutants[number] for number in tried}

        def judged(judge: Judge) -> None:
            found = judge.found(folder / self.name / judge.mode, dict(left))
            for number in found:
                left.pop(number, None)
            print(f"{self.name} {judge.mode}: {len(found)} found, {len(left)} left", file=sys.stderr, flush=True)

        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(judged, self.judges))
        return list(left.values())


def sample(subject: Subject, every: int, seed: int, only: str) -> list[int]:
    """Return the numbers of one in `every` mutants whose description has a text, of each family alike."""
    families: dict[str, list[int]] = {}
    for number, mutant in enumerate(subject.mutants):
        if only in mutant.what:
            families.setdefault(mutant.family, []).append(number)
    draw = random.Random(seed)
    return [each for family in families.values() for each in draw.sample(family, -(-len(family) // every))]


def table(tried: Counter[str], survived: Mapping[str, int]) -> str:
    """Return a table of how many of each family were found."""
    lines = ["| family | mutants | found | |", "| --- | --- | --- | --- |"]
    for family, of in [*sorted(tried.items()), ("all", tried.total())]:
        found = of - (sum(survived.values()) if family == "all" else survived.get(family, 0))
        lines.append(f"| {family} | {of} | {found} | {found / of:.1%} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutants", description="Which faults the tests find.")
    parser.add_argument("specs", nargs="*", type=Path, default=SPECS, metavar="SPEC")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="one in N mutants of each family")
    parser.add_argument("--seed", type=int, default=1, help="of the choice, where not all are taken")
    parser.add_argument("--only", default="", metavar="TEXT", help="those whose description has the text")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="so many of promtool at once")
    told = parser.parse_args()
    if shutil.which("promtool") is None:
        parser.error("promtool is not on PATH")
    tried, survived, survivors = Counter[str](), Counter[str](), list[str]()
    with tempfile.TemporaryDirectory() as folder:
        for path in told.specs:
            subject = Subject(path)
            chosen = sample(subject, told.every, told.seed, told.only)
            tried.update(subject.mutants[number].family for number in chosen)
            for mutant in subject.survivors(chosen, Path(folder), told.workers):
                survived[mutant.family] += 1
                survivors.append(f"- {subject.name}, {mutant.family}: {mutant.what}")
    print(table(tried, survived), "", *sorted(survivors), sep="\n")
    sys.exit(any(survived[family] > (1 - MUST_BE_FOUND) * of for family, of in tried.items()))


if __name__ == "__main__":
    main()
