"""One's own pipeline gets rules and a dashboard in three commands."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import pipemon, snapshot
from real_servers import tool

MODULE = """\
import pipemon
from pipemon.features import Feature, length, words

shop = pipemon.Pipeline("shop", version="2.1", budget="2s")


@shop.stage("find", inputs={"query": words()}, output=length("hits"), null=lambda hits: not hits, budget="300ms")
def find(query):
    return query.split()


@shop.stage("rank.all", after="find", output=Feature("best_score", max, unit="ratio"))
def rank(hits):
    return [1 / (1 + i) for i in range(len(hits))]


@shop.run
def answer(query):
    return rank(find(query))
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "shop_service.py").write_text(MODULE)
    return tmp_path


@pytest.mark.integration
def test_init_check_and_generate_give_rules_that_promtool_accepts_and_whose_tests_pass(here: Path) -> None:
    first = pipemon("init", "shop_service:shop", cwd=here)
    assert (first.code, first.err) == (0, "")
    assert "Next: pipemon generate shop.yaml --out monitoring" in first.out
    second = pipemon("check", "shop.yaml", cwd=here)
    assert (second.code, second.err) == (0, "")
    third = pipemon("generate", "shop.yaml", "--out", "monitoring", cwd=here)
    assert (third.code, third.err) == (0, "")
    made = here / "monitoring"
    assert (made / "grafana" / "dashboards" / "shop.json").is_file()
    tool("promtool", "check", "rules", "rules/shop.rules.yml", cwd=made)
    tool("promtool", "check", "config", "prometheus.yml", cwd=made)
    tool("amtool", "check-config", "alertmanager/alertmanager.yml", cwd=made)
    tests = sorted(str(path) for path in (made / "rules" / "tests").glob("*.yml"))
    assert tests
    tool("promtool", "test", "rules", *tests, cwd=made)


def test_the_first_file_asks_about_every_stage_and_feature(here: Path) -> None:
    pipemon("init", "shop_service:shop", cwd=here)
    told = pipemon("check", "shop.yaml", cwd=here).out
    assert "no failure mode watches" not in told
    text = (here / "shop.yaml").read_text()
    for each in (
        "find-slow",
        "find-returns-nothing",
        "rank-all-fails",
        "{mean: input.query_words}",
        "output.best_score",
    ):
        assert each in text


def test_init_refuses_to_replace_a_file_unless_forced(here: Path) -> None:
    pipemon("init", "shop_service:shop", cwd=here)
    (here / "shop.yaml").write_text("mine")
    refused = pipemon("init", "shop_service:shop", cwd=here)
    assert (refused.code, refused.out) == (2, "")
    assert "shop.yaml exists; give --force to replace it, or --out for another" in refused.err
    assert (here / "shop.yaml").read_text() == "mine"
    assert pipemon("init", "shop_service:shop", "--force", cwd=here).code == 0
    assert (here / "shop.yaml").read_text() != "mine"


def test_init_writes_where_it_is_told(here: Path) -> None:
    assert pipemon("init", "shop_service:shop", "--out", "deep/other.yaml", cwd=here).code == 0
    assert (here / "deep" / "other.yaml").read_text().startswith("# What can go wrong in shop")


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("shop_servic:shop", "there is no module 'shop_servic' beside this file, here or on Python's path"),
        ("shop_service:shp", "the module 'shop_service' has no 'shp'; did you mean 'shop'?"),
        ("shop_service", "expected module:pipeline, such as app.speech:speech, found 'shop_service'"),
        ("shop_service:answer", "'shop_service:answer' is a function, not a pipemon.Pipeline"),
    ],
)
def test_init_says_what_is_wrong_with_the_code_that_it_was_told(here: Path, code: str, sentence: str) -> None:
    before = snapshot(here)
    told = pipemon("init", code, cwd=here)
    assert told.code == 2
    assert sentence in told.err
    assert "Traceback" not in told.err
    assert {name for name in snapshot(here) if "__pycache__" not in name} == set(before)
