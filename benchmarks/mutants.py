"""Faults put into the generated rules, one at a time: `python -m benchmarks.mutants [SPEC ...] [--every N]`.

Each mutant is given to the generated tests of every failure mode that reads its rule, and is found when one fails. The
table says how many of each family were; the survivors follow it, by failure mode. Exits with 1 where a family has less
than 95%. All mutants of the whole language take hours of two cores; what was found is in `mutants.md`.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "generate"))

from mutants import Mutant, mutants  # noqa: E402
from rule_subsets import Document, cases_of, documents, failing, only  # noqa: E402

from pipemon.generate.inhibition import plan  # noqa: E402
from pipemon.generate.rules import Rules, rules  # noqa: E402
from pipemon.spec.load import load  # noqa: E402

SPECS = tuple(ROOT / "tests" / "generate" / f"{name}.yaml" for name in ("every_signal", "combined", "drifting"))
MUST_BE_FOUND = 0.95


class Subject:
    """The rules of one spec, the tests of each failure mode and the mutants."""

    def __init__(self, spec: Path) -> None:
        self.name = spec.stem
        self.made: Rules = rules(plan(load(spec)).spec)
        self.document, self.files = documents(self.made)

    def mutants(self) -> Iterator[Mutant]:
        """Yield every mutant of a rule that some failure mode's tests are to judge."""
        return mutants(self.document, [label for label, _ in self.made.spec.select])

    def readers(self, rule: Document) -> list[str]:
        """Return the failure modes that read a rule."""
        if "record" in rule:
            return sorted(self.made.readers[rule["record"]])
        return sorted({alert.mode.name for alert in self.made.alerts if alert.name == rule["alert"]})

    def finds(self, mutant: Mutant, folder: Path) -> bool:
        """Say whether a generated test fails: one failure mode after another, since most fall at the first."""
        try:
            return any(
                failing(folder / mode, only(self.made, mutant.document, {mode}), tests)
                for mode in self.readers(mutant.rule)
                for tests in cases_of(self.files, mode)
            )
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def sample(subjects: Sequence[Subject], every: int, seed: int) -> list[tuple[Subject, Mutant]]:
    """Return one in `every` mutants, of each family alike, shuffled."""
    families: dict[str, list[tuple[Subject, Mutant]]] = {}
    for subject in subjects:
        for mutant in subject.mutants():
            families.setdefault(mutant.family, []).append((subject, mutant))
    draw = random.Random(seed)
    chosen = [each for family in families.values() for each in draw.sample(family, -(-len(family) // every))]
    draw.shuffle(chosen)
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutants", description="Which faults the tests find.")
    parser.add_argument("specs", nargs="*", type=Path, default=SPECS, metavar="SPEC")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="one in N mutants of each family")
    parser.add_argument("--seed", type=int, default=1, help="of the choice, where not all are taken")
    parser.add_argument("--only", metavar="TEXT", help="those whose description has the text")
    parser.add_argument("--seconds", type=float, help="begin none after so long")
    told = parser.parse_args()
    subjects = [Subject(path) for path in told.specs]
    chosen = sample(subjects, told.every, told.seed)
    if told.only:
        chosen = [each for each in chosen if told.only in each[1].what]
    began, found, tried = monotonic(), Counter[str](), Counter[str]()
    survivors: list[str] = []
    with tempfile.TemporaryDirectory() as folder:

        def judged(numbered: tuple[int, tuple[Subject, Mutant]]) -> tuple[Subject, Mutant, bool] | None:
            number, (subject, mutant) = numbered
            if told.seconds and monotonic() - began > told.seconds:
                return None
            return subject, mutant, subject.finds(mutant, Path(folder) / str(number))

        with ThreadPoolExecutor(2) as pool:
            for done in filter(None, pool.map(judged, enumerate(chosen))):
                subject, mutant, fell = done
                tried[mutant.family] += 1
                found[mutant.family] += fell
                if not fell:
                    survivors.append(f"{subject.name} {', '.join(subject.readers(mutant.rule))}: {mutant.what}")
                    print(f"{sum(found.values())}/{sum(tried.values())} survives: {survivors[-1]}", file=sys.stderr)
    print("| family | mutants | found | |\n| --- | --- | --- | --- |")
    for family in sorted(tried):
        print(f"| {family} | {tried[family]} | {found[family]} | {found[family] / tried[family]:.1%} |")
    print(f"| all | {tried.total()} | {found.total()} | {found.total() / tried.total():.1%} |\n")
    print("\n".join(f"- {line}" for line in sorted(survivors)))
    sys.exit(any(found[family] < MUST_BE_FOUND * tried[family] for family in tried))


if __name__ == "__main__":
    main()
