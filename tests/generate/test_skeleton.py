"""The first file from decorated code asks what a brainstorm would, and holds with any of its answers."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from pipemon.generate.inhibition import plan
from pipemon.generate.rules import rules
from pipemon.generate.skeleton import skeleton
from pipemon.spec.code import shape_of
from pipemon.spec.load import load
from pipemon.spec.model import Spec

MODULES = {
    "shop": """
shop = pipemon.Pipeline("shop", version="2.1", budget="2s")

@shop.stage("find", inputs={"query": words()}, output=length("hits"), null=lambda hits: not hits, budget="300ms")
def find(query): ...

@shop.stage("rank.all", after="find", output=pipemon.Feature("best_score", max, unit="ratio"), workers=4)
def rank(hits): ...

@shop.run
def answer(query): ...
""",
    "strange": """
shop = pipemon.Pipeline("null", feedback=["no", "off"])

@shop.stage("no", output=[length("a_b"), length("a.b")])
def no(query): ...

@shop.stage("a_b", one_to_one=True, scores=["yes", "ndcg"], candidates=["2.0: b", "# 3"], labels=True, decisions=True)
def first(query): ...

@shop.stage("a.b", output=[Category("mood", str, categories=("good", "bad"))], budget="1s")
def second(query): ...

@shop.stage("_x")
def third(query): ...

@shop.stage("bucket")
def fourth(query): ...
""",
    "empty": 'shop = pipemon.Pipeline("shop")\n',
}


@pytest.fixture(params=["shop", "strange"])
def text(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    name = f"module_of_{request.param}"
    (tmp_path / f"{name}.py").write_text(
        f"import pipemon\nfrom pipemon.features import Category, length, words\n{MODULES[request.param]}"
    )
    sys.modules.pop(name, None)
    return skeleton(shape_of(f"{name}:shop", tmp_path), f"{name}:shop")


def loaded(folder: Path, text: str) -> Spec:
    (folder / "modes.yaml").write_text(text)
    return load(folder / "modes.yaml")


def test_it_loads_as_it_is_and_makes_rules(text: str, tmp_path: Path) -> None:
    spec = loaded(tmp_path, text)
    assert all(mode.conditions for mode in spec.failure_modes)
    assert len(rules(plan(spec).spec).alerts) == len(spec.failure_modes) + 1


def test_with_every_suggestion_kept_each_is_valid_or_an_idea(text: str, tmp_path: Path) -> None:
    as_it_is = loaded(tmp_path, text)
    spec = loaded(tmp_path, re.sub(r"(?m)^  # ", "  ", text))
    assert len(spec.failure_modes) > 2 * len(as_it_is.failure_modes)
    assert all(mode.conditions or "not yet measurable" in mode.waiting for mode in spec.failure_modes)
    assert rules(plan(spec).spec).alerts


def test_without_the_suggestions_it_holds_too(text: str, tmp_path: Path) -> None:
    struck = re.sub(r"(?m)^ *#.*\n", "", text)
    assert loaded(tmp_path, struck) == loaded(tmp_path, text)


def test_each_stage_is_asked_about_its_software_input_and_output(text: str, tmp_path: Path) -> None:
    spec = loaded(tmp_path, re.sub(r"(?m)^  # ", "  ", text))
    for stage in spec.stages:
        own = [mode for mode in spec.failure_modes if mode.stage == stage.name]
        asked = " ".join(mode.name for mode in own)
        for question in (
            "slow",
            "called-less",
            "returns-nothing",
            "missing",
            "shifted",
            "repeated",
            "worse",
            "overloaded",
        ):
            assert question in asked, (stage.name, question)
        assert text.count(f"## {stage.name}, ") == 3
        for feature in stage.features:
            assert f"{feature.direction}.{feature.name}" in text
    mood = {name for mode in spec.failure_modes if "mood" in mode.name for name in mode.signals or {mode.waiting[:18]}}
    assert not mood or mood == {"missing_ratio", "new_category", "not yet measurable"}


def test_what_is_told_later_is_asked_about_where_the_code_declares_it(tmp_path: Path) -> None:
    (tmp_path / "module_of_later.py").write_text(
        "import pipemon\nshop = pipemon.Pipeline('shop')\n"
        "shop.stage('rank', scores=['ndcg'], candidates=['2.0'], labels=True, decisions=True)(len)\n"
        "shop.stage('find')(len)\n"
    )
    made = re.sub(r"(?m)^  # ", "  ", skeleton(shape_of("module_of_later:shop", tmp_path), "module_of_later:shop"))
    spec = loaded(tmp_path, made)
    asked = {"score-ndcg", "candidate-2-0-differs", "labels-late", "raters-differ", "too-sure", "more-to-review"}
    for stage, wanted in (("rank", asked), ("find", set())):
        own = {mode.name.removeprefix(f"{stage}-") for mode in spec.failure_modes if mode.stage == stage}
        assert own & asked == wanted
    by_labels = {mode.name: mode.signals for mode in spec.measurable if mode.kind == "quality"}
    signals = {"labels-late": "labelled", "raters-differ": "label_disagreement", "too-sure": "calibration"}
    assert by_labels.items() >= {f"rank-{name}": frozenset({signal}) for name, signal in signals.items()}.items()


def test_a_pipeline_without_stages_is_told_as_an_idea(tmp_path: Path) -> None:
    (tmp_path / "module_of_empty.py").write_text(f"import pipemon\n{MODULES['empty']}")
    made = skeleton(shape_of("module_of_empty:shop", tmp_path), "module_of_empty:shop")
    assert [mode.waiting != "" for mode in loaded(tmp_path, made).failure_modes] == [True]
