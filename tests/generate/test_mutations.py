"""The generated rule tests find faults in the generated rules."""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

import pytest
from mutant_judge import Judge, judges, name_of
from mutants import Mutant, mutants
from rule_subsets import Document, cases_of, documents, failing, only

from pipemon.generate.inhibition import plan
from pipemon.generate.rules import Rules, rules
from pipemon.spec.load import load

pytestmark = pytest.mark.integration

MUST_BE_FOUND = 0.95


@pytest.fixture(scope="module")
def made() -> Rules:
    return rules(plan(load(Path(__file__).with_name("every_signal.yaml"))).spec)


def test_at_least_95_percent_of_faulty_rules_fail_a_generated_test(made: Rules, tmp_path: Path) -> None:
    document, files = documents(made)
    every = list(mutants(document))
    # One in sixty-four, always the same, in the time that there is. That the sound rules pass, other tests say.
    tried = {number: each for number, each in enumerate(every) if crc32(each.what.encode()) % 64 == 1}
    assert len(tried) > 30
    # A judge that finds faults in sound rules would find all.
    sound = {
        len(every) + number: Mutant("none", rule, rule, "none") for number, rule in enumerate(rules_of(document)[::50])
    }
    left = tried
    for judge in judges(made, document, files):
        found = judge.found(tmp_path, left | sound)
        assert not found & sound.keys(), judge.mode
        left = {number: mutant for number, mutant in left.items() if number not in found}
    survivors = [mutant.what for mutant in left.values()]
    print(f"{len(tried) - len(left)} of {len(tried)} mutants found; survivors: {survivors}")
    assert len(left) <= (1 - MUST_BE_FOUND) * len(tried), survivors


def rules_of(document: Document) -> list[Document]:
    return [rule for group in document["groups"] for rule in group["rules"]]


def test_mutants_in_one_file_fall_as_each_does_by_itself(made: Rules, tmp_path: Path) -> None:
    document, files = documents(made)
    mode = "sluggish-asr"
    every = mutants(document)
    tried = dict(enumerate([each for each in every if "calls_not_skipped" in name_of(each.rule)][::4]))
    judge = Judge(made, document, files, mode)
    tried = {number: mutant for number, mutant in tried.items() if any(mutant.rule is rule for rule in judge.rules)}

    def falls(mutant: Mutant) -> bool:
        groups = [
            {**group, "rules": [mutant.changed if rule is mutant.rule else rule for rule in group["rules"]]}
            for group in only(made, document, {mode})["groups"]
        ]
        return any(failing(tmp_path / "alone", {"groups": groups}, tests) for tests in cases_of(files, mode))

    alone = {number for number, mutant in tried.items() if falls(mutant)}
    assert 0 < len(alone) < len(tried), "some fall, some do not"
    assert judge.found(tmp_path / "together", tried) == alone
