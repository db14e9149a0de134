"""The seam: whatever the example's rules and dashboards read, its real run really exports or records."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml
from promql_names import known_series, labels_of
from real_servers import running_prometheus, until
from real_speech import every_recording

from pipemon import catalogue
from pipemon.demo.example import Example, copy_example
from pipemon.demo.processes import children, free_ports, start
from pipemon.generate.dashboards.text import RATE_INTERVAL
from pipemon.generate.inhibition import plan
from pipemon.generate.output import Options, generate
from pipemon.prometheus import Prometheus
from pipemon.spec.load import load
from pipemon.spec.scale import scaled

pytestmark = pytest.mark.integration

BASELINE = {
    "vad.input.audio_high_band_db": {"mean": -30, "sd": 3, "count": 1000},
    "vad.output.speech_share": {"mean": 0.7, "sd": 0.1, "count": 1000},
    "asr.output.acoustic_score": {"mean": -4, "sd": 0.5, "count": 1000},
}
ONLY_AFTER = {
    "pipemon_stage_drop_reasons_total": "a call dropped an item, by its reason",
    "pipemon_stage_exceptions_total": "a call raised, by the class of its exception",
    "pipemon_batch_last_success_timestamp_seconds": "a batch job ended well; the example is a service",
    "ALERTS": "an alert is pending",
    "ALERTS_FOR_STATE": "an alert is pending",
}


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Example:
    """A copy of the example with a baseline, so that all of its failure modes that have a signal have a rule."""
    every_recording()
    example = copy_example(tmp_path_factory.mktemp("seam"), Path())
    document = {"pipeline": "speech", "from": 0, "to": 1, "features": BASELINE}
    (example.folder / "speech.baseline.json").write_text(json.dumps(document))
    return example


@pytest.fixture(scope="module")
def prometheus(example: Example) -> Iterator[Prometheus]:
    """A Prometheus that scrapes the example while it serves calls, with the generated rules."""
    (port,) = free_ports(1)
    options = Options(time_scale=20, targets=(f"127.0.0.1:{port}",))
    made = generate([example.spec], example.generated, options)
    assert len(made.plans[0].spec.measurable) == 16
    folder = example.folder.parent / "prometheus"
    shutil.copytree(example.generated / "rules", folder / "rules")
    with children() as started:
        # Of this seed the eleventh caller asks again, whatever is understood: feedback is there within seconds.
        command = [*example.traffic_command(port, seed=121), "--rate", "2"]
        started.append(start("traffic", command, example.folder / "traffic.log"))
        with running_prometheus((example.generated / "prometheus.yml").read_text(), folder) as client:
            until(lambda: client.query("pipemon_pipeline_runs_total > 2"), "calls scraped")
            yield client
        started[0].check()


def queries(example: Example) -> set[str]:
    """Every query of the generated rules and dashboards."""
    groups = yaml.safe_load((example.generated / "rules" / "speech.rules.yml").read_text())["groups"]
    found = {rule["expr"] for group in groups for rule in group["rules"]}

    def look(value: Any) -> None:
        if isinstance(value, dict):
            found.update([value["expr"]] if "expr" in value else [])
            look(list(value.values()))
        elif isinstance(value, list):
            for each in value:
                look(each)

    for path in (example.generated / "grafana" / "dashboards").glob("*.json"):
        look(json.loads(path.read_text()))
    return {text.replace(RATE_INTERVAL, "15s") for text in found}


def selectors(expr: Any) -> Iterator[str]:
    """Every selector of a parsed query, as text."""
    match expr:
        case promql.VectorSelector():
            signs = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}
            matchers = (
                f"{m.name}{signs[str(m.op).rpartition('.')[2]]}{json.dumps(m.value)}" for m in expr.matchers.matchers
            )
            yield f"{expr.name}{{{','.join(matchers)}}}"
        case promql.MatrixSelector():
            yield from selectors(expr.vector_selector)
        case promql.BinaryExpr():
            yield from selectors(expr.lhs)
            yield from selectors(expr.rhs)
        case promql.Call():
            for argument in expr.args:
                yield from selectors(argument)
        case promql.AggregateExpr() | promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            yield from selectors(expr.expr)


def test_every_selector_of_a_rule_or_panel_finds_series_while_the_example_runs(
    example: Example, prometheus: Prometheus
) -> None:
    wanted = {selector for query in queries(example) for selector in selectors(promql.parse(query))}
    wanted = {selector for selector in wanted if selector.partition("{")[0] not in ONLY_AFTER}
    assert len(wanted) > 60
    missing = set(wanted)

    def found() -> bool:
        missing.difference_update([selector for selector in missing if prometheus.query(f"count({selector})")])
        return not missing

    try:
        until(found, "all series there")
    except AssertionError:
        pytest.fail("nothing is found by\n" + "\n".join(sorted(missing)))


def test_every_label_of_a_rule_or_panel_is_on_the_series_that_were_scraped(
    example: Example, prometheus: Prometheus
) -> None:
    # The running rules are those of the demo, in which everything is 20 times as fast.
    known = known_series(plan(scaled(load(example.spec), 20)).spec)
    # Empty for all slices, and of categories, which have no bins: to Prometheus that is none.
    empty = {
        series: {"slice", "bins"} & set(each.labels) for each in catalogue.METRICS.values() for series in each.series
    }
    for name in {series for metric in catalogue.METRICS.values() for series in metric.series} & known.keys():
        if name in ONLY_AFTER:
            continue
        scraped = prometheus.query(name)
        if not scraped:  # of a kind of stage that the example has none of
            del known[name]
            continue
        # A label that is on some series of a name only is one that a query can't count on.
        known[name] = frozenset.intersection(*(frozenset(each.labels) - {"__name__"} for each in scraped))
        known[name] |= empty[name]
    for query in queries(example):
        labels_of(query, known)


def test_every_rule_is_evaluated_without_error(prometheus: Prometheus) -> None:
    rules = until(
        lambda: [r for r in prometheus.rules() if r.health != "unknown"],
        "rules evaluated",
    )
    assert [(rule.name, rule.last_error) for rule in rules if rule.health != "ok"] == []


VARIABLES = {"pipeline": "speech", "stage": "vad|asr"}
"""What a person chose; all of what is not here."""
SILENT = {
    "speech": {"Written expression: flying-blind"},
    "cascade": {"Input: missing values", "Since the last success", "What the last run counted"},
    "stage": {
        "Exceptions", "Input: categories", "Output: categories", "Dropped items", "Waiting, p95", "Age of the model",
        "Versions", "Features that could not be taken",
    },
    "drift": {"Categories", "Which moved first", "Drift: ${watched:raw}", "Bins, less the baseline: ${watched:raw}"},
    "versions": {"Verdict on the canary", "Agreement", "Decided by the model", "People and model agree",
                 "Wait for a person, p95", "Canary: failed calls", "Canary: null outputs", "Canary: duration, p95"},
    "feedback": {"Feedback by slice", "Stated confidence less accuracy",
                 "Labels, per one expected", "Delay of labels", "Raters who disagree",
                 "Feedback of no known version"},
    "resources": {"Load, by stage", "GPU in use", "GPU memory", "GPU temperature", "GPU power", "GPU clock",
                  "GPU errors", "Calls that went uncounted", "Features that could not be taken"},
}  # fmt: skip
"""Panels with nothing to show of a cascade that is well, without canary, labels, GPUs, categories or hours of data."""

LINES_THAT_NEED_MORE = {
    "Calls/s, by outcome": dict.fromkeys(("null", "failed", "cancelled"), "as far as any did"),
    "Runs/s, by outcome": {"failed": "as far as any did"},
    "Calls, by outcome": dict.fromkeys(("null", "failed", "cancelled"), "as far as any did"),
    "Items, by what became of them": dict.fromkeys(("null", "failed", "dropped"), "as far as any did"),
    "In progress": {"workers": "where the stage says so"},
    "Share of the traffic": {"{{stage}} {{version}} {{track}} meant": "where the roll-out says so"},
}
"""Queries without data beside others in a panel, by its title and their legends, and how the panel tells why."""


def boards(example: Example) -> dict[str, Any]:
    """The generated dashboards by their names."""
    folder = example.generated / "grafana" / "dashboards"
    return {path.stem: json.loads(path.read_text()) for path in folder.rglob("*.json")}


def asking(board: Any) -> Iterator[Any]:
    """Every panel of a dashboard that asks for data, those in closed rows among them."""
    for panel in board["panels"]:
        yield from (each for each in (panel, *panel.get("panels", ())) if "targets" in each)


def filled(text: str) -> str:
    """A query as Grafana sends it: values in the place of variables, all where none is chosen."""
    text = re.sub(r'(!?=~?)"\$(\w+)"', lambda m: f'=~"{VARIABLES.get(m[2], ".*")}"', text)
    return text.replace(RATE_INTERVAL, "15s")


def test_every_query_and_mark_of_every_dashboard_has_data_or_its_panel_says_why_not(
    example: Example, prometheus: Prometheus
) -> None:
    waiting = {
        (name, panel["title"], target["legendFormat"] or target["refId"]): filled(target["expr"])
        for name, board in boards(example).items()
        for panel in asking(board)
        for target in panel["targets"]
        if panel["title"] not in SILENT[name]
    }
    assert len(waiting) > 120
    calm = {key for key in waiting if key[1].startswith(("Firing now", "Which came first", "Failure modes: which"))}
    calm |= {key for key in waiting if key[2] in LINES_THAT_NEED_MORE.get(key[1], {})}

    def found() -> bool:
        for key, text in list(waiting.items()):
            if prometheus.query(text):
                del waiting[key]
        return waiting.keys() <= calm

    try:
        until(found, "data for every query")
    except AssertionError:
        pytest.fail("no data of\n" + "\n".join(map(str, sorted(waiting.keys() - calm))))
    for name, board in boards(example).items():
        for panel in asking(board):
            if panel["title"] in SILENT[name] or any((name, panel["title"]) == key[:2] for key in calm):
                for target in panel["targets"]:
                    prometheus.query(filled(target["expr"]))  # Prometheus takes it
                says = panel["fieldConfig"]["defaults"].get("noValue", "")
                assert says not in ("", "-") or "Empty" in panel["description"], panel["title"]
            for reason in LINES_THAT_NEED_MORE.get(panel["title"], {}).values():
                assert reason in panel["description"], panel["title"]
        for mark in board["annotations"]["list"]:
            if "expr" in mark:  # others are kept by Grafana itself
                prometheus.query(filled(mark["expr"]))


def test_every_variable_resolves(example: Example, prometheus: Prometheus) -> None:
    for board in boards(example).values():
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                asked = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"])
                assert asked is not None
                values = {sample.labels.get(asked[2], "") for sample in prometheus.query(filled(asked[1]))}
                # What is watched for drift shows once there are enough calls.
                assert values - {""} or variable["name"] == "watched", f"{board['title']}: {variable['name']}"
