"""The dashboards of any pipeline, and the rules that dashboard-linter and mixtool check, on all that are generated.

A test is named after its rule. template-job-rule and target-job-rule do not hold on purpose: pipemon's series are
told apart by pipeline and stage, whatever the site calls its jobs. target-instance-rule holds where an instance can be
chosen; elsewhere a stage is all its replicas together, and what rules record has no instance.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
from promql_names import known_series, labels_of
from test_dashboard import as_of, check_places, grafanas_schema, panels

from pipemon.generate.dashboards.board import Scraped
from pipemon.generate.dashboards.generic import generic
from pipemon.generate.dashboards.pipeline import dashboard, panel_ids
from pipemon.generate.dashboards.playbook import in_a_cell
from pipemon.generate.inhibition import plan
from pipemon.generate.lint.series import walk
from pipemon.generate.output import Options, files
from pipemon.spec.load import load

EVERY_SIGNAL = Path(__file__).with_name("every_signal.yaml")
SPEC = load(EVERY_SIGNAL)
DRIFTING = load(Path(__file__).with_name("drifting.yaml"))
BOARDS: dict[str, dict[str, Any]] = {"speech": dashboard(SPEC), **generic()}
STRICT = ("grafana-10.4.patched", "grafana-11.6.strict-panels", "main-v0.0.18-grafana-12-13.strict-panels")
NO_QUERY = ("row", "text")

every_board = pytest.mark.parametrize("name", BOARDS)


def drawn(name: str) -> Iterator[dict[str, Any]]:
    """Every panel of a dashboard that asks for data."""
    return (panel for panel in panels(BOARDS[name]) if panel["type"] not in NO_QUERY)


def targets(name: str) -> list[str]:
    """Every query of a dashboard, its annotations' among them, with values in the place of variables."""
    found = [target["expr"] for panel in drawn(name) for target in panel["targets"]]
    found += [mark["expr"] for mark in BOARDS[name]["annotations"]["list"]]
    return [filled(text) for text in found]


def filled(text: str) -> str:
    """A query with some value for each variable."""
    return re.sub(r"\$(\w+)", lambda m: "5m" if m[1].startswith("__") else "x", text)


@pytest.mark.parametrize("version", STRICT)
@every_board
def test_valid_by_grafanas_own_schema(name: str, version: str) -> None:
    validator = grafanas_schema(f"dashboard.{version}")
    found = [
        f"{'/'.join(map(str, error.absolute_path))}: {error.message[:300]}"
        for error in validator.iter_errors(as_of(f"dashboard.{version}", BOARDS[name]))
    ]
    assert not found


@every_board
def test_target_promql_rule(name: str) -> None:
    for text in targets(name):
        promql.parse(text)


@every_board
def test_every_query_names_only_what_is_exported_or_recorded(name: str) -> None:
    series = {of: labels | {"instance", "job"} for of, labels in (known_series(DRIFTING) | known_series(SPEC)).items()}
    for panel in drawn(name):
        if panel["title"].startswith("Written expression"):
            continue
        for target in panel["targets"]:
            given = labels_of(filled(target["expr"]), series)
            assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= given, panel["title"]


@every_board
def test_template_datasource_rule(name: str) -> None:
    first = BOARDS[name]["templating"]["list"][0]
    assert (first["name"], first["label"], first["type"], first["query"]) == (
        "datasource", "Data source", "datasource", "prometheus",
    )  # fmt: skip
    assert "__inputs" not in BOARDS[name]


@every_board
def test_template_label_promql_and_on_time_change_reload_rules(name: str) -> None:
    asked = [v for v in BOARDS[name]["templating"]["list"] if v["type"] == "query"]
    for variable in asked:
        label = re.fullmatch(r"label_values\((.*), \w+\)", variable["query"]["query"])
        assert label is not None
        promql.parse(filled(label[1]))
        assert variable["refresh"] == 2
        assert variable["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


@every_board
def test_template_instance_rule_but_for_its_all_value(name: str) -> None:
    """All is `.*`, not `.+`: what a batch job pushed has no instance."""
    for variable in BOARDS[name]["templating"]["list"]:
        if variable["name"] == "instance":
            assert (variable["multi"], variable["includeAll"], variable["allValue"]) == (True, True, ".*")


@pytest.mark.parametrize("name", ["stage", "resources"])
def test_target_instance_rule_where_an_instance_can_be_chosen(name: str) -> None:
    assert "instance" in {variable["name"] for variable in BOARDS[name]["templating"]["list"]}
    for panel in drawn(name):
        for target in panel["targets"]:
            for node in walk(promql.parse(filled(target["expr"]))):
                # Alerts are of all replicas, and GPUs have their exporter's instance.
                if isinstance(node, promql.VectorSelector) and not str(node).startswith(("ALERTS", "DCGM")):
                    assert 'instance=~"x"' in str(node), panel["title"]


@every_board
def test_target_logql_rule_and_target_logql_auto_rule(name: str) -> None:
    """Both hold where no query is LogQL: nothing asks a Loki, so that no range there could be other than `$__auto`."""
    asked = [*drawn(name), *(target for panel in drawn(name) for target in panel["targets"])]
    asked += BOARDS[name]["annotations"]["list"]
    asked += (variable for variable in BOARDS[name]["templating"]["list"] if variable["type"] == "query")
    assert {source["datasource"]["type"] for source in asked} == {"prometheus"}
    assert "$__auto" not in json.dumps(BOARDS[name])


@every_board
def test_every_variable_that_is_used_exists_and_each_is_used_or_carried_on(name: str) -> None:
    board = BOARDS[name]
    known = {variable["name"] for variable in board["templating"]["list"]}
    text = json.dumps({key: board[key] for key in ("panels", "annotations", "templating", "links")})
    used = {found for found in re.findall(r"\$\{?(\w+)", text) if not found.startswith("__") and not found.isdigit()}
    assert used <= known
    assert known - used <= {"pipeline"}  # the constant of one pipeline: links take it along


@every_board
def test_a_variable_of_which_several_can_be_chosen_is_a_pattern_or_repeats_its_panel(name: str) -> None:
    """Several values come as `a|b`, which no label equals."""
    board = BOARDS[name]
    several = {variable["name"] for variable in board["templating"]["list"] if variable.get("multi")}
    asked = [(panel["targets"], panel.get("repeat")) for panel in drawn(name)]
    asked += [(board["annotations"]["list"], None), (board["templating"]["list"], None)]
    found = [
        (operator, variable, repeated)
        for queries, repeated in asked
        for operator, variable in re.findall(r'(=~|!~|!=|=)\\"\$\{?(\w+)', json.dumps(queries))
    ]
    assert name == "speech" or ("=", "pipeline", None) in found
    assert not [each for each in found if each[1] in several and each[0] != "=~" and each[1] != each[2]]


@every_board
def test_panel_datasource_rule(name: str) -> None:
    for panel in drawn(name):
        sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)


@every_board
def test_panel_title_description_rule(name: str) -> None:
    for panel in panels(BOARDS[name]):
        if panel["type"] != "row":
            assert panel["title"]
            assert len(panel["description"]) > 40, panel["title"]


@every_board
def test_panel_units_rule_and_every_panel_says_what_no_data_means(name: str) -> None:
    for panel in drawn(name):
        defaults = panel["fieldConfig"]["defaults"]
        if panel["type"] in ("stat", "timeseries", "heatmap", "bargauge", "table"):
            assert defaults["unit"], panel["title"]
            assert defaults["noValue"], panel["title"]
        assert defaults.get("noValue") or re.search(r"Empty|[Nn]o data|No line", panel["description"]), panel["title"]


@every_board
def test_where_nothing_comes_in_there_is_no_series_rather_than_nan_drawn_without_a_word(name: str) -> None:
    """A quantile of empty buckets and 0 / 0 are NaN, which a comparison with a number drops."""
    for panel in drawn(name):
        for target in panel["targets"]:
            nodes = list(walk(promql.parse(filled(target["expr"]))))
            compared = {str(node.lhs) for node in nodes if isinstance(node, promql.BinaryExpr) and ">" in str(node.op)}
            for node in nodes:
                if isinstance(node, promql.Call) and node.func.name == "histogram_quantile":
                    assert str(node) in compared, panel["title"]
                if isinstance(node, promql.BinaryExpr) and str(node.op) == "/" and not _number(node.lhs):
                    assert _number(node.rhs) or str(node.rhs).endswith("> 0)"), panel["title"]


@every_board
def test_where_there_is_nothing_to_repeat_for_no_title_says_all(name: str) -> None:
    """Of a variable without values Grafana writes All, or, of its values as they are, nothing."""
    for panel in panels(BOARDS[name]):
        if repeat := panel.get("repeat"):
            assert panel["title"].endswith(f": ${{{repeat}:raw}}")


def _number(node: Any) -> bool:
    return isinstance(node, promql.NumberLiteral)


@every_board
def test_panel_no_targets_rule(name: str) -> None:
    assert all(panel["targets"] for panel in drawn(name))


@every_board
def test_target_rate_interval_rule(name: str) -> None:
    """Points along a line look back over Grafana's own window, or that of the rule shown; a lone value over 5m."""
    told = [target for panel in drawn(name) for target in panel["targets"] if "Written" not in panel["title"]]
    for instant, usual in ((False, "$__rate_interval"), (True, "5m")):
        texts = [target["expr"] for target in told if target["instant"] is instant]
        windows = {window for text in texts for window in re.findall(r"\[([^\]]*)\](?! @ end)", text)}
        # A stage that is gone is remembered for an hour, as are the places of all at the end of a graph.
        remembered = {"1h"} if instant else set()
        assert windows <= {usual} | remembered | ({"10m"} if name == "speech" else set())


@every_board
def test_target_counter_agg_rule(name: str) -> None:
    """A counter is never shown as it is: it says how long the process has run."""
    for text in targets(name):
        for bare in _bare_counters(promql.parse(text)):
            assert re.search(rf"(count|max) by \([\w, ]*\) \({bare}|and on|\* 0", text), text


def _bare_counters(expr: Any, within: str = "") -> Iterator[str]:
    match expr:
        case promql.VectorSelector():
            if expr.name and expr.name.endswith("_total"):
                yield expr.name
        case promql.BinaryExpr():
            yield from _bare_counters(expr.lhs)
            yield from _bare_counters(expr.rhs)
        case promql.Call():
            for argument in expr.args:
                yield from _bare_counters(argument)
        case promql.AggregateExpr() | promql.ParenExpr():
            yield from _bare_counters(expr.expr)


@every_board
def test_uneditable_dashboard_rule_and_mixtools_title_and_uid(name: str) -> None:
    board = BOARDS[name]
    assert board["editable"] is False
    assert board["title"]
    assert re.fullmatch(r"[a-zA-Z0-9_-]{8,40}", board["uid"])


def test_uids_differ_and_none_is_one_of_a_pipeline() -> None:
    uids = [board["uid"] for board in BOARDS.values()]
    assert len(set(uids)) == len(uids)
    assert all(not str(board["uid"]).startswith("pipemon-") for board in generic().values())


@every_board
def test_ids_are_unique_and_nothing_overlaps_on_24_columns(name: str) -> None:
    check_places(BOARDS[name])


@every_board
def test_the_crosshair_is_shared_and_links_lead_to_the_others(name: str) -> None:
    board = BOARDS[name]
    assert board["graphTooltip"] == 1
    assert "pipemon" in board["tags"]
    assert next((link["type"], link["tags"], link["keepTime"]) for link in board["links"]) == (
        "dashboards", ["pipemon"], True,
    )  # fmt: skip


@every_board
def test_alerts_and_new_versions_are_marked_on_every_graph(name: str) -> None:
    marks = {mark["name"]: mark["expr"] for mark in BOARDS[name]["annotations"]["list"]}
    assert list(marks) == ["Critical alerts", "Other alerts", "New versions"]
    assert "offset" in marks["New versions"]


@every_board
def test_colours_of_states_are_those_of_states_alone(name: str) -> None:
    """Green, yellow, orange, red and blue say how something is, so none of Grafana's own palettes is used."""
    modes = {
        each["mode"]
        for panel in drawn(name)
        for each in (
            panel["fieldConfig"]["defaults"].get("color", {"mode": "thresholds"}),
            *(p["value"] for o in panel["fieldConfig"]["overrides"] for p in o["properties"] if p["id"] == "color"),
        )
    }
    assert modes <= {"thresholds", "fixed", "shades", "palette-classic"}
    for panel in drawn(name):
        if panel["fieldConfig"]["defaults"].get("color", {}).get("mode") == "palette-classic":
            assert panel["fieldConfig"]["overrides"], panel["title"]


@every_board
def test_failures_differ_from_what_they_are_stacked_on_not_by_their_colour_alone(name: str) -> None:
    for panel in drawn(name):
        custom = panel["fieldConfig"]["defaults"].get("custom", {})
        given = {
            (o["matcher"]["options"], p["id"]): p["value"]
            for o in panel["fieldConfig"]["overrides"]
            for p in o["properties"]
        }
        red = [of for (of, id), value in given.items() if id == "color" and value["fixedColor"] == "red"]
        if custom.get("stacking", {}).get("mode") == "normal":
            assert red or panel["title"] == "Where the time goes"
            assert all(given[of, "custom.fillOpacity"] > custom["fillOpacity"] for of in red)


@every_board
def test_no_edge_of_red_is_drawn_where_nothing_failed(name: str) -> None:
    for panel in drawn(name):
        for target in panel["targets"]:
            if panel["title"].endswith((", by outcome", "what became of them")) and not target[
                "legendFormat"
            ].startswith(("ok", "usable")):
                assert target["expr"].endswith(" > 0"), panel["title"]


def test_limits_that_move_are_dashed_as_the_fixed_ones_are() -> None:
    found = 0
    for panel in drawn("speech"):
        over = panel["fieldConfig"]["overrides"]
        dashed = {o["matcher"]["options"] for o in over if o["properties"][0]["id"] == "custom.lineStyle"}
        for target in panel["targets"]:
            if ": fires " in target["legendFormat"]:
                found += 1
                assert target["refId"] in dashed, panel["title"]
    assert found > 3


def test_a_bar_above_its_budget_is_told_by_its_name_too_not_by_its_colour_alone() -> None:
    (panel,) = [panel for panel in drawn("speech") if panel["title"] == "Where the time goes, now"]
    limited = [over["matcher"]["options"] for over in panel["fieldConfig"]["overrides"]]
    assert limited
    assert all(" ≤ " in name for name in limited if name != "end to end")  # whose budget is the bar below it
    assert {*limited} <= {target["legendFormat"] for target in panel["targets"]}


def test_the_same_scrape_interval_gives_the_same_bytes_and_another_other_steps() -> None:
    assert json.dumps(generic()) == json.dumps(generic(Scraped(15.0)))
    slow: dict[str, Any] = generic(Scraped(300.0))["cascade"]
    assert (slow["refresh"], slow["time"]["from"]) == ("5m", "now-12h")


def test_lone_values_are_of_the_last_twenty_scrapes_and_what_is_of_a_moment_of_the_last_two() -> None:
    slow: dict[str, Any] = generic(Scraped(300.0))["cascade"]
    texts = [target["expr"] for panel in panels(slow) for target in panel.get("targets", ()) if target["instant"]]
    assert {window for text in texts for window in re.findall(r"\[([^\]]*)\]", text)} == {"10m", "1h", "1h40m"}


@every_board
def test_no_title_is_cut_where_four_panels_share_a_line_of_a_small_screen(name: str) -> None:
    assert all(len(panel["title"]) <= 32 for panel in drawn(name) if panel["gridPos"]["w"] <= 6)


@every_board
def test_dim_colours_are_so_faint_that_grafana_writes_on_them_in_its_themes_own_colour(name: str) -> None:
    faint = re.findall(r"rgba\(\d+, \d+, \d+, ([\d.]+)\)", json.dumps(BOARDS[name]))
    assert all(float(alpha) < 0.3 for alpha in faint)


def test_many_failure_modes_are_one_question_and_only_those_that_moved_have_a_line() -> None:
    (panel,) = [panel for panel in drawn("speech") if panel["title"] == "Failure modes: which came first"]
    assert len(panel["targets"]) == 1
    assert "vector(" not in panel["targets"][0]["expr"]


def test_every_failure_mode_has_a_panel_that_its_alert_leads_to_and_that_leads_to_its_runbook() -> None:
    made = files([plan(SPEC)], Options(grafana_url="https://grafana.example/"))
    rules = made["rules/speech.rules.yml"]
    by_id = {panel["id"]: panel for panel in panels(BOARDS["speech"])}
    ids = panel_ids(SPEC)
    assert set(ids) == {mode.name for mode in SPEC.measurable}
    for mode in SPEC.measurable:
        panel = by_id[ids[mode.name]]
        assert f"dashboard_url: https://grafana.example/d/pipemon-speech?viewPanel={panel['id']}\n" in rules
        assert [link["url"] for link in panel["links"] if link["title"] == f"Runbook: {mode.name}"] == [mode.runbook]


def test_what_to_do_stands_beside_what_fires() -> None:
    (panel,) = [panel for panel in drawn("speech") if panel["title"] == "Firing now: what to do"]
    shown = {
        over["matcher"]["options"]: property["value"][0]["options"]
        for over in panel["fieldConfig"]["overrides"]
        for property in over["properties"]
        if property["id"] == "mappings"
    }
    for mode in SPEC.measurable:
        assert shown["What to do"][mode.name]["text"] == in_a_cell(mode.do)
        assert shown["What it means"][mode.name]["text"] == in_a_cell(mode.what)
    assert in_a_cell("") == "-"
    assert in_a_cell("word " * 40).endswith("word …")


def test_what_fires_of_no_stage_opens_the_dashboard_of_all_stages() -> None:
    (panel,) = [panel for panel in drawn("cascade") if panel["title"] == "Firing now"]
    properties = {
        (over["matcher"]["options"], property["id"]): property["value"]
        for over in panel["fieldConfig"]["overrides"]
        for property in over["properties"]
    }
    (link,) = properties["Stage", "links"]
    assert "var-stage=${__data.fields.opens}&" in link["url"]
    assert properties["opens", "custom.hidden"] is True
    assert properties["opens", "custom.hideFrom"]["viz"] is True
    assert '"opens", "All", "stage", "end to end")' in panel["targets"][0]["expr"]


def test_shares_of_the_traffic_are_of_the_calls_that_a_version_served_not_of_those_in_shadow_too() -> None:
    (panel,) = [panel for panel in drawn("versions") if panel["title"] == "Share of the traffic"]
    of_each, of_all = panel["targets"][0]["expr"].split(" / ", 1)
    assert "shadow" not in of_each
    assert 'track!="shadow"' in of_all


@pytest.mark.parametrize(
    ("name", "title", "series"),
    [
        ("resources", "GPU in use", [f"host GPU {gpu}" for gpu in range(8)]),
        ("feedback", "Stated confidence less accuracy", [f"asr {tenth / 10:.1f}" for tenth in range(1, 11)]),
        ("cascade", "Calls", ["vad", "asr", "nlu", "tts"]),
        ("cascade", "Calls", [f"stage-{number}" for number in range(8)]),
        (
            "stage",
            "Input: missing values",
            [f"audio_{what}" for what in ("high_band_db", "level_dbfs", "snr_db", "seconds")],
        ),
        ("versions", "Failed calls", ["asr 1.0.0 stable", "vad 1.0.0 stable", "vad 1.0.0 canary", "vad 2.0.0 shadow"]),
        ("versions", "Failed calls", [f"vad 1.{i}.0 {track}" for i in (8, 9) for track in ("stable", "canary")]),
    ],
)
def test_series_that_stand_beside_each_other_have_a_colour_each(name: str, title: str, series: list[str]) -> None:
    (panel,) = [panel for panel in drawn(name) if panel["title"] == title]
    found: dict[str, str] = {}
    for over in panel["fieldConfig"]["overrides"]:
        pattern = re.fullmatch("/(.*)/(i?)", over["matcher"]["options"])
        if pattern and over["properties"][0]["id"] == "color":
            picked = re.compile(pattern[1], re.IGNORECASE if pattern[2] else 0)
            color = over["properties"][0]["value"]["fixedColor"]
            found |= {each: color for each in series if picked.search(each)}
    assert len(set(found.values())) == len(series)
