"""The traps of Prometheus, Alertmanager and Grafana that rules, routes and dashboards fall into, and these do not.

What a check of the generated files tells already is in test_lint.py; what the real programs make of them is in
test_rules.py and in tests/integration.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import promql_parser as promql
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from real_servers import tool
from rule_subsets import without_drift

from pipemon.catalogue import METRICS
from pipemon.errors import SpecError
from pipemon.generate.alertmanager import alertmanager_file
from pipemon.generate.formats.scraping import prometheus_document
from pipemon.generate.inhibition import Plan, plan
from pipemon.generate.lint.matchers import Alerts
from pipemon.generate.lint.series import called_by, walk
from pipemon.generate.output import Options, files
from pipemon.generate.promql import block
from pipemon.generate.rules import rule_file, rules
from pipemon.spec.expression import parse
from pipemon.spec.load import load
from pipemon.spec.model import Spec
from pipemon.units import duration, le, seconds

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"
PATHS = {
    "every_signal": HERE / "every_signal.yaml",
    "combined": HERE / "combined.yaml",
    "speech": EXAMPLES / "speech" / "failure_modes.yaml",
    "factory": EXAMPLES / "factory" / "failure_modes.yaml",
}
SHOP = """\
pipeline: shop
owner: shop-team
select: {namespace: prod}
keep: [cluster]
targets: {job: shop}
stages:
  pay: {budget: 300ms, features: {input.amount: items}}
failure_modes:
  nulls: {what: Nothing comes out, stage: pay, signal: null_ratio}
  fails: {what: It fails, stage: pay, signal: error_ratio}
  missing: {what: Amounts are missing, stage: pay, signal: {missing_ratio: input.amount}}
  slow: {what: It is slow, stage: pay, signal: {latency: p50}, above: 200ms}
  late: {what: It is late, stage: pay, signal: {latency: p99}, above: budget}
  few: {what: Few of them, stage: pay, signal: {mean: input.amount}, below: 3}
  again: {what: They ask again, stage: pay, signal: {feedback: redo}, above: 10%}
  crowd: {what: Calls pile up, stage: pay, signal: in_progress, above: 50}
  silent: {what: Nobody pays, stage: pay, signal: no_calls, owner: tills, labels: {tier: "1"}}
"""


@cache
def plan_of(case: str) -> Plan:
    return plan(without_drift(load(PATHS[case])))


@pytest.fixture(params=PATHS)
def made(request: pytest.FixtureRequest) -> Plan:
    return plan_of(str(request.param))


def groups_of(spec: Spec) -> list[dict[str, Any]]:
    return spec.derived("groups of the test", _read)


def _read(spec: Spec) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.load(rule_file(rules(spec)), Loader=yaml.CSafeLoader)["groups"]
    return found


def rules_of(spec: Spec) -> list[dict[str, Any]]:
    return [rule for group in groups_of(spec) for rule in group["rules"]]


def routes_of(made: Plan) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(alertmanager_file([made], "http://127.0.0.1:1/"))
    return found


def nodes(spec: Spec) -> Iterator[tuple[dict[str, Any], Any]]:
    """Each node of each rule's expression."""
    for rule in rules_of(spec):
        for node in walk(parse(rule["expr"])):
            yield rule, node


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Spec]:
    def write(text: str) -> Spec:
        (tmp_path / "shop.yaml").write_text(text)
        return plan(load(tmp_path / "shop.yaml")).spec

    return write


# What promtool makes of the rules of SHOP: each scrape is 15 seconds.

PLACE = 'pipeline="shop",stage="pay",version="1",track="stable",namespace="prod",cluster="eu",job="shop",instance="a"'
AMOUNT = f'{PLACE},direction="input",feature="amount"'


def scraped(values: Callable[[float], str], slowest: float = 1.0, crowd: str = "3x80") -> dict[str, str]:
    """The series of a service: `values` prints those of a counter that rises by so much each scrape."""
    counters = {
        f"pipemon_stage_calls_total{{{PLACE}}}": 10.0,
        f"pipemon_stage_skipped_total{{{PLACE}}}": 0.0,
        f"pipemon_stage_failures_total{{{PLACE}}}": 0.0,
        f"pipemon_stage_null_outputs_total{{{PLACE}}}": 0.0,
        f"pipemon_stage_duration_seconds_count{{{PLACE}}}": 10.0,
        f"pipemon_feature_observed_total{{{AMOUNT}}}": 10.0,
        f"pipemon_feature_missing_total{{{AMOUNT}}}": 0.0,
        f'pipemon_feature_value_bucket{{{AMOUNT},le="+Inf"}}': 10.0,
        f'pipemon_feature_sum_total{{{AMOUNT},sign="positive"}}': 50.0,
        f'pipemon_feature_sum_total{{{AMOUNT},sign="negative"}}': 0.0,
        f'pipemon_feedback_total{{{PLACE},signal="redo",slice=""}}': 0.0,
    }
    for bound, share in {"0.1": slowest, "0.25": slowest, "0.3": slowest, "+Inf": 1.0}.items():
        counters[f'pipemon_stage_duration_seconds_bucket{{{PLACE},le="{bound}"}}'] = 10 * share
    found = {name: values(rate) for name, rate in counters.items()}
    return found | {f"pipemon_stage_in_progress{{{PLACE}}}": crowd, 'up{job="shop",instance="a"}': "1x140"}


def ever_fired(at: str, *alerts: str) -> dict[str, Any]:
    samples = [{"labels": f'{{alertname="Shop{alert}"}}', "value": 1} for alert in alerts]
    expr = f'count by (alertname) (max_over_time(ALERTS{{alertstate="firing"}}[{at}]))'
    return {"expr": expr, "eval_time": at, "exp_samples": samples}


def firing(at: str, alert: str, *labels: str) -> dict[str, Any]:
    """Exactly these labels are on an alert."""
    expr = f'ALERTS{{alertname="Shop{alert}",alertstate="firing"}}'
    named = [f'__name__="ALERTS",alertname="Shop{alert}",alertstate="firing",{each}' for each in labels]
    return {
        "expr": expr,
        "eval_time": at,
        "exp_samples": [{"labels": f"{{{each}}}", "value": 1} for each in named],
    }


SILENT = (
    'failure_mode="silent",kind="software",severity="critical",owner="tills",tier="1",'
    'pipeline="shop",stage="pay",namespace="prod"'
)


CROWD = (
    'alertname="ShopCrowd",alertstate="firing",failure_mode="crowd",kind="software",severity="warning",'
    'owner="shop-team",pipeline="shop",stage="pay",namespace="prod",cluster="eu"'
)


def unsound(name: str) -> str:
    """What is NaN or infinite of a recorded series."""
    return f"({name} != {name}) or (abs({name}) == Inf)"


@pytest.mark.integration
def test_what_prometheus_makes_of_nothing_of_restarts_of_gone_series_and_of_dips(
    written: Callable[[str], Spec], tmp_path: Path
) -> None:
    spec = written(SHOP)
    recorded = [recording.name for recording in rules(spec).recordings]
    cases: dict[str, tuple[dict[str, str], list[dict[str, Any]]]] = {
        # 0/0 is NaN, which never fires; 1/0 is Inf, which always does.
        "nobody calls for twenty minutes: nothing that is recorded is NaN or infinite, and only the silence is told": (
            scraped(lambda rate: f"{rate}x80"),
            [
                *({"expr": unsound(name), "eval_time": "20m", "exp_samples": []} for name in recorded),
                {"expr": "count(ALERTS) > bool 0", "eval_time": "20m", "exp_samples": [{"labels": "{}", "value": 1}]},
                ever_fired("20m", "Silent"),
            ],
        ),
        # absent() fires while nothing is scraped yet, unless the alert waits.
        "Prometheus starts, and the first scrape comes two evaluations later: nothing is told": (
            {name: f"_x2 {values}" for name, values in scraped(lambda rate: f"0+{rate}x80").items()},
            [ever_fired("15m")],
        ),
        # absent() keeps only what its selector says by `=`, and nothing of a sum.
        "all series are gone: the silence has every label that routes and inhibition read": (
            {name: f"{values} stale" for name, values in scraped(lambda rate: f"0+{rate}x40", crowd="3x40").items()}
            | {'up{job="shop",instance="a"}': "1x40 stale"},
            [
                firing("30m", "Silent", f'{SILENT},cluster="eu"'),
                # After an hour nobody remembers the cluster.
                firing("85m", "Silent", SILENT),
            ],
        ),
        # A quantile is never more than the largest bound: here 0.3 s, though every call takes longer.
        "every call is slower than the largest bucket: the threshold below it is passed all the same": (
            scraped(lambda rate: f"0+{rate}x60", slowest=0.0),
            [ever_fired("15m", "Slow", "Late")],
        ),
        # `for` begins anew at each dip: what is looked at is a mean over the window, so that none shows.
        "calls pile up but for every fourth scrape: that is told, and goes on being told": (
            scraped(lambda rate: f"0+{rate}x120", crowd=" ".join(["100 100 100 0"] * 30)),
            [
                ever_fired("30m", "Crowd"),
                {
                    "expr": 'count_over_time(ALERTS{alertname="ShopCrowd",alertstate="firing"}[15m]) > bool 59',
                    "eval_time": "29m",
                    "exp_samples": [{"labels": f"{{{CROWD}}}", "value": 1}],
                },
            ],
        ),
    }
    tests = [
        {
            "name": name,
            "interval": "15s",
            "input_series": [{"series": series, "values": values} for series, values in inputs.items()],
            "promql_expr_test": checks,
        }
        for name, (inputs, checks) in cases.items()
    ]
    document = {"rule_files": ["rules.yml"], "evaluation_interval": "15s", "tests": tests}
    (tmp_path / "rules.yml").write_text(rule_file(rules(spec)))
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(document, sort_keys=False, width=1_000_000))
    tool("promtool", "test", "rules", "tests.yml", cwd=tmp_path)


# Rules, as they are written.


def test_an_absence_is_asked_of_a_bare_selector_and_gets_the_labels_that_it_can_not_keep(made: Plan) -> None:
    spec = made.spec
    for rule, node in nodes(spec):
        if called_by(node) != "absent" or any(mode.conditions[0].signal == "promql" for mode in _of(spec, rule)):
            continue
        (asked,) = node.args
        if isinstance(asked, promql.VectorSelector):
            equal = {each.name for each in asked.matchers.matchers if each.op == promql.MatchOp.Equal}
            assert {"pipeline", *dict(spec.select)} <= equal
        else:
            # Of up == 1, whose labels are then written by label_replace.
            assert f'label_replace(absent({asked}), "pipeline", "{spec.pipeline}"' in rule["expr"].replace("{}", "")


def _of(spec: Spec, rule: dict[str, Any]) -> list[Any]:
    return [mode for mode in spec.measurable if mode.name == rule.get("labels", {}).get("failure_mode")]


def test_an_absence_waits_for_more_than_two_scrapes_and_evaluations(made: Plan) -> None:
    for group in groups_of(made.spec):
        for rule in group["rules"]:
            if "alert" in rule and "absent(" in rule["expr"]:
                least = 2 * max(seconds(group["interval"]), made.spec.timing.scrape_interval)
                assert seconds(rule["for"]) > least


def test_a_time_to_wait_is_not_hidden_in_an_alerts_expression_too(made: Plan) -> None:
    """What looks back is recorded, under a name that says how far; the alert compares, and waits for its `for`.

    The memory of an absence is no wait: it tells what was there before.
    """
    for rule, node in nodes(made.spec):
        modes = _of(made.spec, rule)
        if "alert" not in rule or any(each.signal in ("promql", "no_calls") for m in modes for each in m.conditions):
            continue
        assert not isinstance(node, promql.MatrixSelector | promql.SubqueryExpr), rule["alert"]


def test_a_float_has_no_binary_tail_in_any_rule(made: Plan) -> None:
    for rule, node in nodes(made.spec):
        if isinstance(node, promql.NumberLiteral):
            # Sizes are whole bytes.
            assert node.val.is_integer() or len(_digits(node.val)) <= 9, rule


def _digits(value: float) -> str:
    return repr(value).partition("e")[0].replace("-", "").replace(".", "").strip("0")


@settings(max_examples=40)
@given(
    ten_thousandths=st.integers(1, 999_999),
    centre=st.integers(-9999, 9999),
    step=st.integers(1, 9999),
    nines=st.sampled_from(["90", "95", "99", "99.9", "99.99", "99.999"]),
)
def test_a_threshold_is_written_with_the_digits_that_a_person_wrote(
    tmp_path_factory: pytest.TempPathFactory, ten_thousandths: int, centre: int, step: int, nines: str
) -> None:
    """1.001 - 1 is 0.0009999999999998899 to a computer, and 1 - 0.999 is 0.0010000000000000009."""
    folder = tmp_path_factory.mktemp("tails")
    (folder / "shop.yaml").write_text(
        f"pipeline: shop\nstages: {{pay: {{budget: 300ms, features: {{input.level: dB}}}}}}\nfailure_modes:\n"
        f"  a: {{what: a, stage: pay, signal: null_ratio, above: {ten_thousandths / 10_000}%}}\n"
        f"  b: {{what: b, stage: pay, signal: {{mean: input.level}}, changes_by: {step / 1000},"
        f" from: {centre / 1000}}}\n"
        f"  c: {{what: c, stage: pay, signal: {{latency: p{nines}}}, above: budget}}\n"
    )
    spec = load(folder / "shop.yaml")
    numbers = [node.val for _, node in nodes(spec) if isinstance(node, promql.NumberLiteral)]
    assert len(numbers) >= 8
    assert all(len(_digits(number)) <= 8 for number in numbers), numbers


@pytest.mark.parametrize(
    "never",
    [
        "{what: a, stage: pay, signal: null_ratio, above: 100%}",
        "{what: a, stage: pay, signal: error_ratio, above: 1}",
        "{what: a, stage: pay, signal: null_ratio, below: 0%}",
        "{what: a, stage: pay, signal: {missing_ratio: input.amount}, above: 250%}",
    ],
)
def test_a_threshold_that_no_value_passes_is_refused(written: Callable[[str], Spec], never: str) -> None:
    with pytest.raises(SpecError, match=r"above 0 and under 100%|never below 0"):
        written(SHOP.partition("failure_modes")[0] + f"failure_modes:\n  a: {never}\n")


def test_a_latency_above_the_largest_bucket_is_refused(tmp_path: Path) -> None:
    (tmp_path / "buckets.py").write_text(
        "import prometheus_client, pipemon\n"
        'shop = pipemon.Pipeline("shop", registry=prometheus_client.CollectorRegistry())\n'
        '@shop.stage("pay", budget="300ms")\ndef pay(): ...\n'
    )
    text = "pipeline: shop\ncode: buckets:shop\nfailure_modes:\n"
    (tmp_path / "shop.yaml").write_text(text + "  a: {what: a, stage: pay, signal: {latency: p99}, above: 10h}\n")
    with pytest.raises(SpecError, match=r"is above the largest bucket .* and could never fire"):
        load(tmp_path / "shop.yaml")


def test_a_bound_is_written_as_the_exporter_labels_it(made: Plan) -> None:
    """Prometheus 3 makes 1 into 1.0 at ingestion, 2 does not: what a Python client writes is the same in both."""
    for rule, node in nodes(made.spec):
        if isinstance(node, promql.VectorSelector):
            bounds = [each.value for each in node.matchers.matchers if each.name == "le"]
            for bound in (part for text in bounds for part in text.replace("\\", "").split("|")):
                assert bound in ("+Inf", le(float(bound))), rule


def test_rule_files_hold_only_what_every_supported_version_knows(made: Plan) -> None:
    """Labels of a group, query_offset and aliases of YAML came later; a limit drops all alerts of a rule."""
    text = rule_file(rules(made.spec))
    assert not re.search(r"(?m)^\s*(?:- )?\w+: [&*]", text)
    for group in groups_of(made.spec):
        assert group.keys() == {"name", "interval", "rules"}
        for rule in group["rules"]:
            kept = {"record", "expr", "labels"} if "record" in rule else {"alert", "expr", "for", "keep_firing_for"}
            assert rule.keys() <= kept | {"labels", "annotations"}


def test_names_of_groups_and_alerts_are_unique(made: Plan) -> None:
    names = [group["name"] for group in groups_of(made.spec)]
    alerts = [rule["alert"] for rule in rules_of(made.spec) if "alert" in rule]
    assert len(names) == len(set(names))
    assert len(alerts) == len(set(alerts))


def test_a_template_reads_only_labels_that_the_alert_has(made: Plan) -> None:
    known = {"pipeline", "stage", "version", *made.spec.keep}
    for rule in rules_of(made.spec):
        for note in rule.get("annotations", {}).values():
            assert set(re.findall(r"\$labels\.(\w+)", note)) <= known


def test_the_windows_of_panels_stay_out_of_rules(made: Plan) -> None:
    assert "$__" not in rule_file(rules(made.spec))


def test_every_metric_that_has_a_rate_is_a_counter(made: Plan) -> None:
    counters = {name for metric in METRICS.values() if metric.type != "gauge" for name in metric.series}
    seen = False
    for rule, node in nodes(made.spec):
        if called_by(node) in ("rate", "increase") and not _of(made.spec, rule):
            (series,) = node.args
            seen = True
            assert series.vector_selector.name in counters
    assert seen


# Routes.


def test_an_inhibition_names_a_label_that_every_alert_has(made: Plan) -> None:
    """Labels that are on neither side count as equal: a rule of such alone holds back everywhere."""
    for rule in routes_of(made)["inhibit_rules"]:
        assert rule.keys() == {"source_matchers", "target_matchers", "equal"}
        assert "pipeline" in rule["equal"]
        assert set(rule["equal"]) <= {"pipeline", *made.spec.keep}
    for rule in rules_of(made.spec):
        if "alert" in rule and not any(each.conditions[0].signal == "promql" for each in _of(made.spec, rule)):
            assert rule["labels"].keys() >= {"failure_mode", "kind", "severity", "owner"}
            assert "pipeline" in rule["expr"]


def test_no_alert_is_on_both_sides_of_an_inhibition(made: Plan) -> None:
    alerts = Alerts([{"pipeline": made.spec.pipeline, **alert.labels} for alert in rules(made.spec).alerts])
    for rule in routes_of(made)["inhibit_rules"]:
        sources, targets = (
            alerts.meeting([text for text in rule[side] if '=""' not in text], surely=True)
            for side in ("source_matchers", "target_matchers")
        )
        assert sources
        assert targets
        assert not sources & targets


SLOWER = """\
pipeline: shop
scrape_interval: 2m
stages: {pay: {features: {input.amount: items}}, ship: {after: pay}}
failure_modes:
  fails: {what: It fails, stage: pay, signal: error_ratio, window: 10m, for: 6m}
  unsent: {what: Nothing is sent, stage: ship, signal: null_ratio, pace: gradual, severity: ticket}
"""


def test_a_cause_has_its_turn_before_its_effect_is_told(made: Plan, written: Callable[[str], Spec]) -> None:
    """Those of another rule group are evaluated up to an interval later, and Alertmanager has to wait for them."""
    document = routes_of(made)
    wait = seconds(document["route"]["group_wait"])
    modes = {mode.name: mode for mode in made.spec.measurable}
    long = made.spec.timing.long_window
    for source, targets in made.targets.items():
        if any((modes[source].window >= long) != (modes[target].window >= long) for target in targets):
            assert wait >= made.spec.interval(modes[source])
    assert wait <= seconds(document["route"]["group_interval"])


STREAMS = """\
pipeline: chat
stages: {find: {budget: 100ms}, write: {after: find}}
failure_modes:
  finds-nothing: {what: F, stage: find, signal: null_ratio}
  finds-late: {what: L, stage: find, signal: {latency: p95}}
  begins-late: {what: B, stage: write, signal: {first_item: p95}, above: 1s}
  queue-grows: {what: Q, stage: write, signal: {wait: p95}, above: 2s}
"""


def test_a_late_first_item_is_slowness_and_a_queue_is_of_its_own_stage(tmp_path: Path) -> None:
    (tmp_path / "chat.yaml").write_text(STREAMS)
    assert plan(load(tmp_path / "chat.yaml")).targets == {"finds-late": ("begins-late",)}


def test_scrapes_two_minutes_apart_make_the_first_notification_wait_as_long(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(SLOWER)
    slow = plan(load(tmp_path / "shop.yaml"))
    assert slow.targets == {"fails": ("unsent",)}
    assert routes_of(slow)["route"]["group_wait"] == "2m"
    (tmp_path / "shop.yaml").write_text(SLOWER.replace(", pace: gradual", ", window: 10m, for: 6m"))
    together = plan(load(tmp_path / "shop.yaml"))
    assert together.targets == {"fails": ("unsent",)}
    assert routes_of(together)["route"]["group_wait"] == "30s"


def test_repetitions_come_with_a_groups_interval_and_before_alertmanager_forgets(made: Plan) -> None:
    document = routes_of(made)["route"]
    interval = seconds(document["group_interval"])
    for route in (document, *document["routes"]):
        repeat = seconds(route.get("repeat_interval", document["repeat_interval"]))
        assert repeat % interval == 0
        assert repeat < seconds("120h")


def test_the_root_route_takes_all_and_matchers_are_quoted(made: Plan) -> None:
    """A bare value that ends in a brace is cut, an empty one is refused, by one parser or the other."""
    document = routes_of(made)
    assert document["route"].keys() == {
        "receiver",
        "group_by",
        "group_wait",
        "group_interval",
        "repeat_interval",
        "routes",
    }
    texts = [text for route in document["route"]["routes"] for text in route["matchers"]]
    for rule in document["inhibit_rules"]:
        texts += [*rule["source_matchers"], *rule["target_matchers"]]
    assert texts
    assert all(re.fullmatch(r'[a-zA-Z_]\w*(?:=|!=|=~|!~)"(?:[^"\\]|\\.)*"', text) for text in texts)


# Dashboards.


@cache
def dashboards_of(case: str) -> tuple[dict[str, Any], ...]:
    made = files([plan_of(case)], Options())
    return tuple(json.loads(text) for name, text in made.items() if name.endswith(".json") and "/dashboards/" in name)


def panels_of(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", ())


@pytest.mark.parametrize("case", ["every_signal", "combined"])
def test_dashboards_are_files_that_provisioning_loads(case: str) -> None:
    """Grafana 13 refuses v2 and envelopes in files; the inputs of an import are filled in by its dialog alone."""
    assert dashboards_of(case)
    for dashboard in dashboards_of(case):
        assert not {"apiVersion", "kind", "spec", "metadata", "__inputs", "__requires"} & dashboard.keys()
        assert "${DS_" not in json.dumps(dashboard)
        assert isinstance(dashboard["refresh"], str)
        assert dashboard["schemaVersion"] <= 39
        assert re.fullmatch(r"[a-zA-Z0-9_-]{8,40}", dashboard["uid"])
        for panel in panels_of(dashboard):
            assert panel["type"] not in ("graph", "singlestat", "table-old")


@pytest.mark.parametrize("case", ["every_signal", "combined"])
def test_a_query_at_one_moment_does_not_look_back_over_a_panels_step(case: str) -> None:
    """$__rate_interval is made for points along a line; a lone value looks back over a time of its own."""
    for dashboard in dashboards_of(case):
        for panel in panels_of(dashboard):
            for target in panel.get("targets", ()):
                if target.get("instant"):
                    assert "$__rate_interval" not in target["expr"], panel["title"]


def test_times_are_written_as_prometheus_reads_them(made: Plan) -> None:
    for group in groups_of(made.spec):
        times = [
            group["interval"],
            *(rule[key] for rule in group["rules"] for key in ("for", "keep_firing_for") if key in rule),
        ]
        assert all(time == duration(seconds(time)) for time in times)


def test_no_pipeline_is_scraped_where_the_receiver_listens() -> None:
    spec = plan_of("combined").spec
    several = [replace(spec, pipeline=f"shop-{index}", targets=()) for index in range(4)]
    options = Options()
    document = prometheus_document(several, (), options.alertmanager)
    scraped = [target for job in document["scrape_configs"] for target in job["static_configs"][0]["targets"]]  # type: ignore[attr-defined]
    assert len(set(scraped)) == 4
    assert urlsplit(options.receiver_url).netloc not in scraped


def test_a_pipeline_beside_it_that_keeps_less_does_not_join_the_notifications_of_clusters() -> None:
    clusters, one_place = plan_of("every_signal"), plan_of("combined")
    for plans in ([clusters, one_place], [one_place, clusters]):
        route = yaml.safe_load(alertmanager_file(plans, "http://127.0.0.1:9465/alerts"))["route"]
        assert {"pipeline", *clusters.spec.keep} == set(route["group_by"])


@pytest.mark.parametrize("path", [*PATHS.values(), HERE / "drifting.yaml", HERE / "undecorated.yaml"])
def test_rules_of_one_name_write_no_series_that_another_writes(path: Path) -> None:
    """Where one ends it and the other goes on, Prometheus has two samples of one time, and drops the second."""
    said: dict[str, list[dict[str, str]]] = {}
    for recording in rules(plan(load(path)).spec).recordings:
        said.setdefault(recording.name, []).append(dict(recording.static))
    for name, each in said.items():
        for one, other in combinations(each, 2):
            assert any(one[label] != other[label] for label in one.keys() & other.keys()), name


@pytest.mark.parametrize("path", [*PATHS.values(), HERE / "drifting.yaml", HERE / "undecorated.yaml"])
def test_rules_record_nothing_that_another_pipelines_rules_do(path: Path) -> None:
    for recording in rules(plan(load(path)).spec).recordings:
        for series in deciding(parse(block(recording.expr))):
            labels = {matcher.name for matcher in series.matchers.matchers}
            assert "pipeline" in labels or ":" not in (series.name or ""), recording.name


PLATES = """\
pipeline: plates
select: {env: prod}
baseline: plates.baseline.json
stages: {crop: {features: {input.level: dB}}}
failure_modes:
  darker: {what: It is darker, stage: crop, signal: {mean: input.level}, changes_by: 3 sd}
"""


def test_a_change_that_staging_announces_holds_nothing_of_production(tmp_path: Path) -> None:
    features = {"crop.input.level": {"mean": 20, "sd": 2, "count": 500}}
    learned = {"pipeline": "plates", "from": 0, "to": 1, "features": features}
    (tmp_path / "plates.baseline.json").write_text(json.dumps(learned))
    change = {"what": "new screens", "stage": "crop", "from": "1970-01-01T00:10:00Z", "to": "1970-01-01T00:20:00Z"}
    (tmp_path / "plates.expected.json").write_text(json.dumps({"changes": [change]}))
    (tmp_path / "plates.yaml").write_text(PLATES)
    made = rules(plan(load(tmp_path / "plates.yaml")).spec)
    (announced,) = [each for each in made.recordings if each.name == "pipemon:expected:change"]
    assert dict(announced.static)["env"] == "prod"
    (darker,) = [alert for alert in made.alerts if alert.mode.name == "darker"]
    (held_by,) = [node for node in walk(parse(block(darker.expr))) if getattr(node, "name", "") == announced.name]
    assert isinstance(held_by, promql.VectorSelector)
    assert 'env="prod"' in {f'{each.name}="{each.value}"' for each in held_by.matchers.matchers}


def deciding(node: object) -> Iterator[promql.VectorSelector]:
    """The series that decide which ones an expression has: those of the left side, and of both of an `or`."""
    match node:
        case promql.VectorSelector():
            yield node
        case promql.MatrixSelector():
            yield node.vector_selector
        case promql.ParenExpr() | promql.SubqueryExpr() | promql.AggregateExpr() | promql.UnaryExpr():
            yield from deciding(node.expr)
        case promql.Call():
            for arg in node.args:
                yield from deciding(arg)
        case promql.BinaryExpr():
            left, right = list(deciding(node.lhs)), list(deciding(node.rhs))
            yield from left + right if str(node.op) == "or" else left or right
