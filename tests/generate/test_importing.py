"""Dashboards for Grafana's import dialog: the others with an input for their data source, in a folder of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from test_boards import STRICT
from test_dashboard import as_of, grafanas_schema, panels

from pipemon.generate.inhibition import plan
from pipemon.generate.output import DASHBOARDS, IMPORTS, Options, files
from pipemon.spec.load import load

PLANS = [plan(load(Path(__file__).with_name("every_signal.yaml")))]
MADE = files(PLANS, Options(for_import=True))
IMPORTED: dict[str, dict[str, Any]] = {
    name.removeprefix(IMPORTS): json.loads(text) for name, text in MADE.items() if name.startswith(f"{IMPORTS}/")
}


def test_only_who_asks_gets_them_and_nothing_else_changes() -> None:
    usual = files(PLANS, Options())
    assert {name: text for name, text in MADE.items() if not name.startswith(f"{IMPORTS}/")} == usual
    assert not any("__inputs" in text for text in usual.values())


def test_each_dashboard_has_one() -> None:
    assert {f"{DASHBOARDS}{name}" for name in IMPORTED} == {name for name in MADE if name.startswith(f"{DASHBOARDS}/")}


@pytest.mark.parametrize("name", IMPORTED)
def test_it_is_the_same_dashboard_whose_first_data_source_the_dialog_asks_for(name: str) -> None:
    found, usual = IMPORTED[name], json.loads(MADE[f"{DASHBOARDS}{name}"])
    (asked,) = found["__inputs"]
    assert (asked["type"], asked["pluginId"]) == ("datasource", "prometheus")
    source, *others = found["templating"]["list"]
    assert source.pop("current")["value"] == f"${{{asked['name']}}}"
    assert source == {key: value for key, value in usual["templating"]["list"][0].items() if key != "current"}
    assert others == usual["templating"]["list"][1:]
    assert {key: found[key] for key in usual if key != "templating"} == {
        key: value for key, value in usual.items() if key != "templating"
    }


@pytest.mark.parametrize("name", IMPORTED)
def test_what_it_requires_is_what_it_draws_with(name: str) -> None:
    required = {each["id"] for each in IMPORTED[name]["__requires"] if each["type"] == "panel"}
    assert required == {panel["type"] for panel in panels(IMPORTED[name])} - {"row"}


@pytest.mark.parametrize("version", STRICT)
@pytest.mark.parametrize("name", IMPORTED)
def test_valid_by_grafanas_own_schema(name: str, version: str) -> None:
    release = f"dashboard.{version}"
    errors = grafanas_schema(release).iter_errors(as_of(release, IMPORTED[name]))
    assert not [error.message[:200] for error in errors]
