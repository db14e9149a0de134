"""Grafana-managed alerting says what Prometheus' rules and Alertmanager's routes say, in files that Grafana takes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_line import pipemon
from grafana_double import VERSIONS, read_document
from openapi_schema_validator import OAS30Validator

from pipemon.errors import OptionError
from pipemon.generate.formats.grafana_alerting import alerting_files
from pipemon.generate.inhibition import plan
from pipemon.generate.output import Options, files
from pipemon.generate.rules import rules as prometheus_rules
from pipemon.spec.load import load
from pipemon.spec.model import Spec
from pipemon.spec.scale import scaled

HERE = Path(__file__).parent
RECEIVER = "http://receiver.example/alerts"


@pytest.fixture(scope="module")
def spec() -> Spec:
    return load(HERE / "every_signal.yaml")


def made(spec: Spec) -> dict[str, Any]:
    """The files of Grafana's alerting by their names, as YAML reads them."""
    texts = alerting_files([plan(spec)], RECEIVER, "https://grafana.example/")
    return {path.rpartition("/")[2]: yaml.safe_load(text) for path, text in texts.items()}


def rules(spec: Spec) -> dict[str, dict[str, Any]]:
    groups = made(spec)[f"rules-{spec.pipeline}.yml"]["groups"]
    return {rule["title"]: rule for group in groups for rule in group["rules"]}


def filled_in(value: Any) -> Any:
    """What Grafana reads where it fills in environment variables, of which there are none."""
    if isinstance(value, str):
        return re.sub(r"\$\$|\$\{?\w*\}?", lambda found: "$" if found[0] == "$$" else "", value)
    if isinstance(value, list):
        return [filled_in(each) for each in value]
    return {key: filled_in(each) for key, each in value.items()} if isinstance(value, dict) else value


@pytest.mark.parametrize("version", VERSIONS)
def test_the_files_are_what_grafana_itself_would_export(version: str, spec: Spec) -> None:
    components = read_document(version)["components"]
    # Two types of one name became one in the document: times are in the items.
    times = components["schemas"]["MuteTimeIntervalExport"]["properties"]["time_intervals"]
    times["items"]["$ref"] += "Item"
    schema = {"$ref": "#/components/schemas/AlertingFileExport", "components": components}
    validator = OAS30Validator(schema)
    burning = replace(spec, failure_modes=tuple(replace(mode, observe=True) for mode in spec.failure_modes))
    for name, document in (*made(spec).items(), *made(burning).items()):
        assert not [f"{name}: {list(error.path)} {error.message[:200]}" for error in validator.iter_errors(document)]


def test_the_rules_read_the_data_source_that_is_named(spec: Spec) -> None:
    usual, other = (alerting_files([plan(spec)], RECEIVER, source=uid) for uid in ("pipemon-prometheus", "mine"))
    assert {path: text.replace("pipemon-prometheus", "mine") for path, text in usual.items()} == other
    assert other[f"grafana/provisioning/alerting/rules-{spec.pipeline}.yml"].count("datasourceUid: mine\n")
    with pytest.raises(OptionError, match="uid is at most 40 letters"):
        alerting_files([plan(spec)], RECEIVER, source="$HOME")


def test_a_data_source_is_named_on_the_command_line_with_these_files_only(tmp_path: Path) -> None:
    command = ("generate", str(HERE / "every_signal.yaml"), "--out", str(tmp_path), "--datasource-uid", "mine")
    assert pipemon(*command).code == 2
    assert not list(tmp_path.iterdir())
    assert pipemon(*command, "--format", "grafana").code == 0
    (written,) = (tmp_path / "grafana" / "provisioning" / "alerting").glob("rules-*.yml")
    assert "datasourceUid: mine\n" in written.read_text()


def test_every_alert_of_the_rule_files_is_there_with_its_query_and_times(spec: Spec) -> None:
    text = files([plan(spec)], Options())[f"rules/{spec.pipeline}.rules.yml"]
    alerts = {
        rule["alert"]: rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"] if "alert" in rule
    }
    found = rules(spec)
    assert found.keys() == alerts.keys()
    for name, alert in alerts.items():
        rule = found[name]
        assert rule["data"][0]["model"]["expr"] == alert["expr"]
        assert (rule["for"], rule.get("keepFiringFor")) == (alert["for"], alert.get("keep_firing_for"))
        assert rule["labels"] == alert["labels"]
        assert rule["annotations"]["summary"] == alert["annotations"]["summary"]


def test_a_rule_fires_on_any_value_that_its_query_gives_and_on_none_else(spec: Spec) -> None:
    for rule in rules(spec).values():
        asked, number, fires = rule["data"]
        assert (asked["model"]["instant"], asked["model"]["range"]) == (True, False)
        # 0 of no_calls and a level of -65 dB are values to fire on.
        assert number["model"]["expression"] == "is_number($A) || is_nan($A) || is_inf($A)"
        assert fires["model"]["expression"] == number["refId"]
        assert fires["model"]["conditions"] == [{"evaluator": {"type": "gt", "params": [0]}}]
        assert (rule["condition"], rule["noDataState"]) == (fires["refId"], "OK")


@pytest.mark.parametrize("factor", [1.0, 7.0, 60.0])
def test_grafana_takes_the_groups_and_ids(factor: float, spec: Spec) -> None:
    groups = made(scaled(spec, factor))[f"rules-{spec.pipeline}.yml"]["groups"]
    assert all(int(group["interval"].replace("m", "0s").rstrip("s") or 0) % 10 == 0 for group in groups)
    found = [rule for group in groups for rule in group["rules"]]
    ids, titles = [rule["uid"] for rule in found], [rule["title"] for rule in found]
    assert len(set(ids)) == len(ids)
    assert len(set(titles)) == len(titles)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,40}", uid) for uid in ids)
    assert all(rule["for"] for rule in found)


def test_a_rule_is_linked_to_a_panel_that_is_on_the_dashboard(spec: Spec) -> None:
    import json

    board = json.loads(files([plan(spec)], Options())[f"grafana/dashboards/{spec.pipeline}.json"])
    panels = {each["id"]: each for panel in board["panels"] for each in (panel, *panel.get("panels", ()))}
    linked = [rule for rule in rules(spec).values() if "panelId" in rule]
    assert len(linked) == len(spec.measurable)
    for rule in linked:
        assert rule["dashboardUid"] == board["uid"]
        assert panels[rule["panelId"]]["targets"]
    # The panels that Prometheus' own alerts lead to.
    urls = {alert.mode.name: alert.annotations["dashboard_url"] for alert in prometheus_rules(spec, "https://g").alerts}
    told = {rule["labels"]["failure_mode"]: f"https://g?viewPanel={rule['panelId']}" for rule in linked}
    assert told == {name: url for name, url in urls.items() if name in told}


def test_templates_use_what_grafana_has(spec: Spec) -> None:
    for rule in rules(spec).values():
        for text in rule["annotations"].values():
            templates = " ".join(re.findall(r"\{\{.*?\}\}", text))
            assert "query" not in templates
            assert not re.search(r"\$value\b", templates)


def test_no_alert_says_that_it_holds_others_back(spec: Spec) -> None:
    """Grafana has no inhibition: what Prometheus' alert of the same failure mode says of it would not be so."""
    assert any("holds_back" in alert.annotations for alert in prometheus_rules(plan(spec).spec).alerts)
    assert not any("holds_back" in rule["annotations"] for rule in rules(spec).values())


def every(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for each in value.values():
            yield from every(each)
    elif isinstance(value, list):
        for each in value:
            yield from every(each)
    elif isinstance(value, str):
        yield value


def test_dollars_arrive_as_they_were_written(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text("""\
pipeline: shop
owner: us$HOME
stages: {pay: {}}
failure_modes:
  costs: {what: "It costs $5 or ${HOME}", do: "pay $$", stage: pay, signal: null_ratio, labels: {team: "a$b"}}
  asks: {what: Written, signal: {promql: 'max(price{currency="$"}) > 5'}}
""")
    shop = load(tmp_path / "shop.yaml")
    found = rules(shop)
    costs, asks = found["ShopCosts"], found["ShopAsks"]
    assert filled_in(costs["labels"]) == costs["labels"] | {"owner": "us$HOME", "team": "a$b"}
    # Grafana leaves annotations and queries alone, but for variables in braces in later versions.
    assert costs["annotations"]["summary"] == 'It costs $5 or {{ "$" }}{HOME}.'
    assert costs["annotations"]["do"] == "pay $$"
    assert '"$"' in asks["data"][0]["model"]["expr"]
    policies = filled_in(made(shop)["policies.yml"])
    assert ["owner", "=", "us$HOME"] in policies["policies"][0]["routes"][0]["object_matchers"]


def test_routes_are_alertmanagers_and_what_is_in_burn_in_is_muted(spec: Spec) -> None:
    first = spec.measurable[0].name
    modes = tuple(replace(mode, observe=mode.name == first) for mode in spec.failure_modes)
    found = made(replace(spec, failure_modes=modes))
    (tree,) = found["policies.yml"]["policies"]
    points = {point["name"] for point in found["contact-points.yml"]["contactPoints"]}
    assert {tree["receiver"], *(route["receiver"] for route in tree["routes"])} <= points
    muted = tree["routes"][0]
    assert muted["object_matchers"] == [["pipeline", "=", spec.pipeline], ["mode", "=", "observe"]]
    (always,) = found["policies.yml"]["muteTimes"]
    assert muted["mute_time_intervals"] == [always["name"]]
    assert not [route for route in tree["routes"][1:] if "mute_time_intervals" in route]
    assert RECEIVER in set(every(found["contact-points.yml"]))


def test_they_are_written_only_where_they_are_asked_for(spec: Spec) -> None:
    def alerting(*formats: str) -> list[str]:
        return [path for path in files([plan(spec)], Options(formats=formats)) if "/alerting/" in path]

    assert alerting() == []
    assert alerting("grafana") == [
        f"grafana/provisioning/alerting/{name}" for name in ("rules-speech.yml", "contact-points.yml", "policies.yml")
    ]
