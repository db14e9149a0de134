"""The generated dashboard: valid for Grafana 10 to 13, true to the alerts, safe with any text, the same each time."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema.validators import validator_for
from promql_names import UnknownNameError, known_series, labels_of

from pipemon.errors import OptionError
from pipemon.generate.dashboards.board import stable_uid as uid
from pipemon.generate.dashboards.layout import place
from pipemon.generate.dashboards.pipeline import dashboard
from pipemon.generate.dashboards.state import order, recorded_calls
from pipemon.generate.dashboards.states import FIRING
from pipemon.generate.dashboards.text import RATE_INTERVAL, markdown, plain, query, short, web
from pipemon.generate.expressions import limits
from pipemon.generate.formats.provisioning import grafana_provisioning
from pipemon.generate.promql import Call, Matcher, select
from pipemon.spec.load import load
from pipemon.spec.model import Condition, FailureMode, Spec, Threshold, Timing
from pipemon.spec.scale import scaled
from pipemon.topology import FeatureShape, StageShape

HERE = Path(__file__).parent
SCHEMAS = Path(os.environ.get("PIPEMON_GRAFANA_SCHEMAS", HERE.parents[2] / "shared" / "grafana"))
VERSIONS = [
    f"dashboard.{version}.{kind}"
    for version in ("grafana-10.1", "grafana-10.4", "grafana-11.0", "grafana-11.6", "main-v0.0.18-grafana-12-13")
    for kind in ("patched", "strict-panels")
]


@pytest.fixture(scope="module")
def spec() -> Spec:
    """Every signal of the language, in a branch-free cascade of three stages with kept labels."""
    return load(HERE / "every_signal.yaml")


def cascade(stages: int = 1, features: int = 0, modes: tuple[FailureMode, ...] = ()) -> Spec:
    """A chain of stages `s0`, `s1`, ... with as many input and output features each."""
    shapes = tuple(
        StageShape(
            f"s{i}",
            (f"s{i - 1}",) if i else (),
            features=tuple(
                FeatureShape(direction, f"{direction}_{n}", f"{n}", unit)
                for direction in ("input", "output")
                for n, unit in zip(range(features), ("seconds", "ratio", "", "dBFS", "words") * 9, strict=False)
            ),
        )
        for i in range(stages)
    )
    return Spec("chain", "team", "", Timing(), None, shapes, modes)


def mode(name: str = "broken", stage: str | None = "s0", conditions: tuple[Condition, ...] = ()) -> FailureMode:
    return FailureMode(
        name, "It breaks", stage, "software", conditions, "any", "sudden", "page", 300, 120, 0, "team", "Mend it.", "",
        waiting="" if conditions else "no signal",
    )  # fmt: skip


ERRORS = Condition("error_ratio", threshold=Threshold(None, 0.05, "above 5%"), min_count=20)


def panels(made: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every panel, rows and what is in closed ones included."""
    for panel in made["panels"]:
        yield panel
        yield from panel.get("panels", ())


def queries(made: dict[str, Any]) -> list[str]:
    return [target["expr"] for panel in written_by_us(made) for target in panel.get("targets", ())]


def written_by_us(made: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every panel but those of expressions that a person wrote, who may read what they like."""
    return (panel for panel in panels(made) if not panel["title"].startswith("Written expression"))


def titled(made: dict[str, Any], title: str) -> list[dict[str, Any]]:
    return [panel for panel in panels(made) if panel["title"] == title]


def as_of(version: str, made: dict[str, Any]) -> dict[str, Any]:
    """The dashboard as an older Grafana's schema words it, which requires or refuses what later ones don't."""
    made = deepcopy(made)
    if "10.1" in version:
        made["style"] = "dark"
        for variable in made["templating"]["list"]:
            variable["id"] = "0"
    newer = {
        "grafana-10.1": ("percentChangeColorMode", "showPercentChange", "wideLayout"),
        "grafana-10.4": ("percentChangeColorMode",),
        "grafana-11.0": ("percentChangeColorMode",),
    }
    for panel in panels(made):
        release = version.removeprefix("dashboard.").rpartition(".")[0]
        later = newer.get(release, ())
        if panel["type"] == "bargauge" and later:
            later = (*later, "legend", *(("maxVizHeight", "namePlacement", "sizing") if "10.1" in release else ()))
        for option in later:
            panel.get("options", {}).pop(option, None)
    return made


def grafanas_schema(version: str) -> Any:
    """Return a validator of Grafana's published schema; skips the test where there is none."""
    path = SCHEMAS / "patched" / f"{version}.jsonschema.json"
    if not path.exists():
        reason = f"no {path}; PIPEMON_GRAFANA_SCHEMAS names the folder"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    schema = json.loads(path.read_text())
    return validator_for(schema)(schema)


@pytest.mark.parametrize("version", VERSIONS)
def test_valid_by_grafanas_own_schema(version: str, spec: Spec) -> None:
    validator = grafanas_schema(version)
    for made in (dashboard(spec), dashboard(cascade(12, 3, (mode(),)))):
        found = [
            f"{'/'.join(map(str, error.absolute_path))}: {error.message[:300]}"
            for error in validator.iter_errors(as_of(version, made))
        ]
        assert not found


def test_every_query_names_only_what_is_exported_or_recorded(spec: Spec) -> None:
    series = known_series(spec)
    found = queries(dashboard(spec))
    assert len(found) > 50
    for text in found:
        labels_of(text.replace(RATE_INTERVAL, "5m"), series)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("pipemon_stage_call_total", "no series"),
        ('pipemon_stage_calls_total{stag="asr"}', "no label"),
        ("sum by (feature) (rate(pipemon_stage_calls_total[5m]))", "no label"),
        ("histogram_quantile(0.9, sum by (stage) (rate(pipemon_stage_duration_seconds_bucket[5m])))", "no label"),
        ("sum by (stage) (pipemon_stage_in_progress) / sum by (pipeline) (pipemon_stage_in_progress)", "never match"),
        ("pipemon_stage_in_progress * on (bins) group_left pipemon_feature_info", "no label"),
    ],
)
def test_the_check_of_names_sees_each_kind_of_mistake(text: str, what: str, spec: Spec) -> None:
    with pytest.raises(UnknownNameError, match=what):
        labels_of(text, known_series(spec))


def test_a_legend_names_only_labels_that_its_query_gives(spec: Spec) -> None:
    series = known_series(spec)
    for panel in written_by_us(dashboard(spec)):
        for target in panel.get("targets", ()):
            given_labels = labels_of(target["expr"].replace(RATE_INTERVAL, "5m"), series)
            assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= given_labels


def test_kept_labels_tell_series_apart_in_every_legend_over_time(spec: Spec) -> None:
    # The time of a run is that of all places together.
    drawn = [p for p in panels(dashboard(spec)) if p["type"] == "timeseries" and p["title"] != "Where the time goes"]
    assert (spec.keep, spec.select) == (("cluster", "namespace"), (("namespace", "prod"),))
    legends = [target["legendFormat"] for panel in drawn for target in panel["targets"]]
    assert all("{{cluster}}" in legend and "{{namespace}}" not in legend for legend in legends)


def test_alerts_of_another_selection_are_not_shown(spec: Spec) -> None:
    reading = [text for text in queries(dashboard(spec)) if "ALERTS" in text]
    assert reading
    # An expression of one's own may lack the label: its alert is shown all the same.
    assert all(text.count("ALERTS") == text.count('namespace=~"prod|"') for text in reading)


@pytest.mark.parametrize("stages", [1, 3, 12])
@pytest.mark.parametrize("features", [0, 1, 7])
def test_ids_are_unique_and_nothing_overlaps_on_24_columns(stages: int, features: int) -> None:
    check_places(dashboard(cascade(stages, features, (mode(conditions=(ERRORS,)),))))


def check_places(made: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in panels(made)]
    assert len(set(ids)) == len(ids)
    assert min(ids) > 0
    for level in (made["panels"], *(panel["panels"] for panel in made["panels"] if panel.get("panels"))):
        cells: set[tuple[int, int]] = set()
        for panel in level:
            at = panel["gridPos"]
            assert at["x"] + at["w"] <= 24
            own = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            assert not cells & own, panel["title"]
            cells |= own


def test_a_panels_id_stays_when_a_stage_is_added() -> None:
    def ids(made: dict[str, Any]) -> dict[int, str]:
        return {panel["id"]: panel["title"] for panel in panels(made) if panel["type"] == "timeseries"}

    assert ids(dashboard(cascade(2, 2))).items() <= ids(dashboard(cascade(3, 2))).items()


def test_the_same_spec_gives_the_same_bytes(spec: Spec) -> None:
    again = load(HERE / "every_signal.yaml")
    assert json.dumps(dashboard(spec)) == json.dumps(dashboard(again))


def test_the_only_variable_is_the_data_source_and_everything_reads_it(spec: Spec) -> None:
    made: dict[str, Any] = dashboard(spec)
    assert [(v["name"], v["type"]) for v in made["templating"]["list"]] == [
        ("datasource", "datasource"),
        ("pipeline", "constant"),
    ]
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(made)))
    assert used == {"datasource", "__rate_interval"}
    for panel in panels(made):
        if panel["type"] not in ("row", "text"):
            sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
            assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)


def test_every_panel_says_what_it_means_and_what_no_data_means(spec: Spec) -> None:
    for panel in panels(dashboard(spec)):
        if panel["type"] == "row":
            continue
        assert panel["title"]
        assert len(panel["description"]) > 40
        if panel["type"] in ("stat", "timeseries"):
            assert panel["fieldConfig"]["defaults"]["noValue"]
            assert panel["fieldConfig"]["defaults"]["unit"]


def test_every_threshold_of_an_alert_is_drawn_where_its_recorded_series_is(spec: Spec) -> None:
    from pipemon.generate.measures import measure

    drawn = [panel for panel in panels(dashboard(spec)) if panel["type"] == "timeseries"]
    checked = 0
    for failure in spec.measurable:
        for condition in failure.conditions:
            found = measure(spec, failure, condition)
            if found is None or condition.threshold is None:
                continue
            series = query(found.value.series(*found.matchers))
            (panel,) = [p for p in drawn if any(target["expr"] == series for target in p["targets"])]
            values = {step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]}
            if found.reference is not None:
                then = query(found.reference.value.series(*found.reference.matchers))
                assert any(then in target["expr"] for target in panel["targets"]), "a threshold that moves"
                continue
            good = limits(spec, failure, condition)
            assert {value for value in (good.low, good.high) if value is not None} <= values
            assert panel["fieldConfig"]["defaults"]["custom"]["thresholdsStyle"]["mode"] == "dashed"
            assert markdown(failure.name) in panel["description"]
            checked += 1
    assert checked >= 8


def test_features_share_a_panel_only_where_they_share_a_unit_and_no_alert_draws_a_line() -> None:
    watched = FeatureShape("input", "c", "c", "seconds")
    shapes = (
        FeatureShape("input", "a", "a", "seconds"),
        FeatureShape("input", "b", "b", "seconds"),
        watched,
        FeatureShape("input", "d", "d", "dBFS"),
        FeatureShape("input", "e", "e"),
        FeatureShape("input", "f", "f"),
    )
    above = Condition("mean", feature=watched, threshold=Threshold(None, 3.0, "above 3"), min_count=20)
    stage = StageShape("s0", (), features=shapes)
    spec = replace(cascade(), stages=(stage,), failure_modes=(mode(conditions=(above,)),))
    found = {p["title"]: p for p in panels(dashboard(spec)) if p["title"].endswith(", mean")}
    assert list(found) == [f"Input: {names}, mean" for names in ("a, b", "c", "d", "e", "f")]
    assert {p["fieldConfig"]["defaults"]["unit"] for p in found.values()} == {"s", "dB", "short"}


STATES = {
    "an alert of it fires": (FIRING["page"], ["calls", "info", "critical"]),
    "a notice of it fires": (FIRING["notice"], ["calls", "info"]),
    "it is called, and nothing fires": (0, ["calls"]),
    "nobody calls it": (-1, ["idle"]),
    "it is called, and no rule records that": (-2, ["raw"]),
    "there is nothing of it": (-2, []),
    "it is called, and no failure mode watches it": (-3, ["other"]),
}
SAMPLES = {
    "calls": ('pipeline_stage:pipemon_stage_calls_not_skipped:increase5m{pipeline="chain",stage="s0"}', "30x20"),
    "idle": ('pipeline_stage:pipemon_stage_calls_not_skipped:increase5m{pipeline="chain",stage="s0"}', "0x20"),
    "other": ('pipeline_stage:pipemon_stage_calls_not_skipped:increase5m{pipeline="chain",stage="s1"}', "30x20"),
    "raw": ('pipemon_stage_calls_total{pipeline="chain",stage="s0",track="stable"}', "0+30x20"),
    "critical": ('ALERTS{pipeline="chain",stage="s0",alertstate="firing",severity="critical"}', "1x20"),
    "info": ('ALERTS{pipeline="chain",stage="s0",alertstate="firing",severity="info"}', "1x20"),
}


@pytest.mark.integration
@pytest.mark.parametrize("case", STATES)
def test_a_stages_state_tells(case: str, tmp_path: Path) -> None:
    value, there = STATES[case]
    (panel,) = titled(dashboard(cascade(2, 0, (mode(conditions=(ERRORS,)),))), "Cascade now")
    watched, unwatched = (target["expr"] for target in panel["targets"])
    expected = {
        "expr": unwatched if "other" in there else watched,
        "eval_time": "10m",
        "exp_samples": [{"labels": "{}", "value": value}],
    }
    series = [dict(zip(("series", "values"), SAMPLES[name], strict=True)) for name in there]
    tests = {"tests": [{"interval": "1m", "input_series": series, "promql_expr_test": [expected]}]}
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(tests))
    done = subprocess.run(
        ["promtool", "test", "rules", "tests.yml"], cwd=tmp_path, capture_output=True, check=False, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    states = panel["fieldConfig"]["defaults"]["mappings"][0]["options"]
    assert str(value) in states


def test_traffic_is_read_from_the_stages_own_absence_alert_where_it_has_one() -> None:
    silent = replace(mode("silent", conditions=(Condition("no_calls"),)), window=900.0)
    found = recorded_calls(cascade(1, 0, (mode(conditions=(ERRORS,)), silent)), "s0")
    assert found is not None
    assert found.name.endswith("increase15m")
    assert recorded_calls(cascade(), "s0") is None


def test_stages_stand_in_the_order_of_the_cascade() -> None:
    stages = (StageShape("c", ("b", "a")), StageShape("b", ("a",)), StageShape("a", ()), StageShape("z"))
    spec = replace(cascade(), stages=stages)
    assert order(spec) == ("a", "b", "c", "z")
    rows = [panel["title"] for panel in panels(dashboard(spec)) if panel["type"] == "row" and "/" in panel["title"]]
    assert rows == ["1/4 a (first)", "2/4 b (after a)", "3/4 c (after b, a)", "4/4 z"]


def test_a_failure_mode_that_nothing_measures_is_in_the_playbook_with_the_reason() -> None:
    waits = replace(mode("rude"), waiting="not yet measurable: waits for a baseline")
    made = dashboard(cascade(1, 0, (waits,)))
    (text,) = titled(made, "What can go wrong, and what to do")
    assert "rude" in text["options"]["content"]
    assert "*not yet measurable: waits for a baseline*" in text["options"]["content"]
    assert not titled(made, "Failure modes: which came first")


@pytest.mark.parametrize(
    "text", ["$datasource", "${__from}", "[[stage]]", "{{stage}}", "a | b", "<b>", "`x`", "[a](b)"]
)
def test_what_people_wrote_is_shown_and_never_filled_in(text: str) -> None:
    broken = replace(mode(conditions=(ERRORS,)), what=text, do=text)
    made = dashboard(replace(cascade(), failure_modes=(broken,)))
    (panel,) = titled(made, "What can go wrong, and what to do")
    line = panel["options"]["content"].splitlines()[2]
    assert text not in line
    assert line.count("|") == 7
    (errors,) = titled(made, "Failed calls")
    assert text not in errors["description"]


@given(st.text(max_size=40))
def test_no_text_leaves_a_variable_in_a_title_a_query_or_a_table(text: str) -> None:
    for safe in (plain(text), markdown(text), web(f"https://wiki/{text}")):
        assert not re.search(r"\$(\w|{)|\[\[|{{", safe)
        assert "\n" not in safe
    selector = query(select_pipeline(text))
    assert "$" not in selector.removesuffix(f"[{RATE_INTERVAL}])")


def select_pipeline(name: str) -> Call:
    from pipemon.catalogue import STAGE_CALLS

    return Call("rate", (select(STAGE_CALLS, (Matcher("pipeline", "=", name),), window=RATE_INTERVAL),))


name = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_.-]{0,60}", fullmatch=True)


@settings(max_examples=25)
@given(st.lists(name, min_size=1, max_size=8, unique=True), st.lists(name, max_size=4, unique=True), name)
def test_any_names_give_a_dashboard_that_can_be_loaded(stages: list[str], features: list[str], pipeline: str) -> None:
    shapes = tuple(FeatureShape("input", feature, feature) for feature in features)
    chain = tuple(StageShape(stage, (stages[i - 1],) if i else (), features=shapes) for i, stage in enumerate(stages))
    broken = mode(stage=stages[-1], conditions=(ERRORS,))
    spec = Spec(pipeline, "team", "", Timing(), 0.5, chain, (broken,))
    made = dashboard(spec)
    assert re.fullmatch(r"[a-zA-Z0-9_-]{8,40}", str(made["uid"]))
    series = known_series(spec)
    for text in queries(made):
        labels_of(text.replace(RATE_INTERVAL, "5m"), series)
    ids = [panel["id"] for panel in panels(made)]
    assert len(set(ids)) == len(ids)


def test_two_keys_with_the_same_checksum_get_two_ids() -> None:
    from pipemon.generate.dashboards.layout import Row
    from pipemon.generate.dashboards.panels import markdown_panel

    # CRC-32 is the same for these two.
    twins = tuple(markdown_panel(key, key, "", "", 1) for key in ("plumless", "buckeroo"))
    first, second = (panel["id"] for panel in place([Row("row", "", (twins,))]).panels)
    assert first != second


def test_times_that_are_measured_read_as_people_say_them() -> None:
    assert [short(0.3), short(1.2), short(90), short(1800)] == ["300ms", "1.2s", "90s", "30m"]


def test_long_pipeline_names_keep_their_dashboards_apart() -> None:
    assert uid("speech") == "pipemon-speech"
    assert uid("x" * 60 + "a") != uid("x" * 60 + "b")


def test_a_time_scaled_spec_looks_back_a_short_time_and_refreshes_often(spec: Spec) -> None:
    spec = replace(spec, timing=Timing())
    usual, fast = dashboard(spec), dashboard(scaled(spec, 60))
    assert (usual["time"], usual["refresh"]) == ({"from": "now-1h", "to": "now"}, "30s")
    assert (fast["time"], fast["refresh"]) == ({"from": "now-5m", "to": "now"}, "5s")
    assert {target["interval"] for panel in panels(fast) for target in panel.get("targets", ())} == {
        "250ms",
        "4750ms",
    }


def test_a_long_cascades_rows_are_closed_at_first() -> None:
    def closed(stages: int) -> set[bool]:
        return {p["collapsed"] for p in panels(dashboard(cascade(stages))) if p["type"] == "row" and "/" in p["title"]}

    assert (closed(6), closed(12)) == ({False}, {True})


def test_only_addresses_of_the_web_become_links() -> None:
    assert web("javascript:alert(1)") == ""
    links = dashboard(replace(cascade(), runbook="https://wiki/a b"))["links"]
    assert [link["title"] for link in links] == ["Dashboards"]  # type: ignore[attr-defined]
    links = dashboard(replace(cascade(), runbook="https://wiki/$x"))["links"]
    assert [link["url"] for link in links] == ["", "https://wiki/%24x"]  # type: ignore[attr-defined]


def test_provisioning_files_name_the_data_source_and_the_folder_of_dashboards() -> None:
    files = grafana_provisioning(prometheus="http://prom:9090/$x", scrape_interval=0.25, dashboards="/d")
    assert list(files) == [
        "grafana/provisioning/datasources/prometheus.yml",
        "grafana/provisioning/dashboards/pipemon.yml",
    ]
    source, provider = (yaml.safe_load(text) for text in files.values())
    assert source["datasources"][0]["jsonData"] == {"timeInterval": "250ms", "httpMethod": "POST"}
    # Grafana reads `$$` as `$`.
    assert source["datasources"][0]["url"] == "http://prom:9090/$$x"
    assert provider["providers"][0]["options"] == {"path": "/d", "foldersFromFilesStructure": False}
    assert files == grafana_provisioning(prometheus="http://prom:9090/$x", scrape_interval=0.25, dashboards="/d")


@pytest.mark.parametrize(
    ("traces", "destination"),
    [
        ("tempo_1", {"name": "trace_id", "datasourceUid": "tempo_1"}),
        (
            "https://jaeger.example/trace/{trace_id}?at=$x",
            {
                "name": "trace_id",
                "url": "https://jaeger.example/trace/$${__value.raw}?at=$$x",
                "urlDisplayLabel": "Trace",
            },
        ),
    ],
)
def test_exemplars_lead_to_their_traces(traces: str, destination: dict[str, str]) -> None:
    source, _ = (yaml.safe_load(text) for text in grafana_provisioning(traces=traces).values())
    assert source["datasources"][0]["jsonData"]["exemplarTraceIdDestinations"] == [destination]


@pytest.mark.parametrize("traces", ["https://jaeger.example/trace/", "javascript:{trace_id}", "two words"])
def test_what_is_no_place_of_traces_is_refused(traces: str) -> None:
    with pytest.raises(OptionError, match="trace_id"):
        grafana_provisioning(traces=traces)
