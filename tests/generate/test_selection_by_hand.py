"""What shares a Prometheus, each with its own rules: staging and production, two pipelines. None fires for another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path

import pytest
import yaml
from real_servers import tool

from pipemon.generate.inhibition import plan
from pipemon.generate.rules import rule_file, rules
from pipemon.spec.load import load
from pipemon.units import fingerprint

HERE = Path(__file__).parent
SPEC = """
pipeline: shop
scrape_interval: 1m
select: {{namespace: {namespace}}}
stages: {{classify: {{}}}}
failure_modes:
  nulls: {{what: Nothing comes out, stage: classify, signal: null_ratio, above: 10%, for: 2m}}
  worse: {{what: The canary is worse, stage: classify, signal: {{compare: null_ratio}}, above: 1.5x stable}}
  silent: {{what: Nobody calls, stage: classify, signal: no_calls}}
"""


def service(namespace: str, null: float, canary_null: float, minutes: int = 60) -> dict[str, str]:
    """The counters of a namespace: 100 calls a minute of each track, so many of them without an output."""
    found = {}
    for version, track, rise in (("1", "stable", null), ("2", "canary", canary_null)):
        place = f'pipeline="shop",stage="classify",namespace="{namespace}",version="{version}",track="{track}"'
        found[f"pipemon_stage_calls_total{{{place}}}"] = f"0+100x{minutes} stale"
        found[f"pipemon_stage_null_outputs_total{{{place}}}"] = f"0+{rise:g}x{minutes} stale"
    return found


def judge(folder: Path, document: Mapping[str, object]) -> None:
    """Let promtool test the rule files in a folder."""
    (folder / "tests.yml").write_text(yaml.safe_dump(document, sort_keys=False))
    tool("promtool", "test", "rules", "tests.yml", cwd=folder)


@pytest.mark.integration
def test_staging_beside_production_fires_for_itself_alone_and_hides_nothing(tmp_path: Path) -> None:
    for namespace in ("prod", "staging"):
        (tmp_path / "shop.yaml").write_text(SPEC.format(namespace=namespace))
        text = rule_file(rules(plan(load(tmp_path / "shop.yaml")).spec))
        # Groups of two files may have one name.
        (tmp_path / f"{namespace}.rules.yml").write_text(text)
    cases = {
        "staging fails, and its canary worse: production, which is well, is not told of": (
            service("prod", 2, 2) | service("staging", 30, 60),
            {40: [("nulls", "staging", ""), ("worse", "staging", "2")]},
        ),
        "production's canary is worse than its own stable version, and better than staging's": (
            service("prod", 2, 8) | service("staging", 30, 30),
            {40: [("nulls", "staging", ""), ("worse", "prod", "2")]},
        ),
        "production is gone: that staging is called does not hide it": (
            service("prod", 2, 2, minutes=20) | service("staging", 2, 2),
            {15: [], 40: [("silent", "prod", "")]},
        ),
    }
    tests = []
    for name, (inputs, at) in cases.items():
        exprs = []
        for minute, expected in at.items():
            samples = []
            for mode, namespace, version in expected:
                labels = {"failure_mode": mode, "namespace": namespace, **({"version": version} if version else {})}
                inside = ",".join(f'{label}="{value}"' for label, value in labels.items())
                samples.append({"labels": f"{{{inside}}}", "value": 1})
            expr = "count by (failure_mode, namespace, version) (ALERTS{alertstate='firing'})"
            exprs.append({"expr": expr, "eval_time": f"{minute}m", "exp_samples": samples})
        series = [{"series": each, "values": values} for each, values in inputs.items()]
        tests.append({"name": name, "interval": "1m", "input_series": series, "promql_expr_test": exprs})
    document = {"rule_files": ["prod.rules.yml", "staging.rules.yml"], "evaluation_interval": "1m", "tests": tests}
    judge(tmp_path, document)


MENU = """
pipeline: {pipeline}
baseline: drifting.baseline.json
stages: {{taste: {{features: {{input.dish: [soup, salad, tart]}}}}}}
failure_modes:
  other-dishes: {{what: Other dishes are ordered, stage: taste, signal: {{drift: psi of input.dish}}, for: 30m}}
"""


def orders(pipeline: str, dishes: dict[str, int]) -> dict[str, str]:
    """The counters of a pipeline whose dishes are ordered so often in half an hour."""
    place = f'pipeline="{pipeline}",stage="taste",version="2",track="stable",direction="input",feature="dish"'
    found = {f"pipemon_feature_info{{{place}}}": "1x24"}
    for dish, count in dishes.items():
        found[f'pipemon_feature_category_total{{{place},category="{dish}"}}'] = f"0+{count}x24"
    return found


@pytest.mark.integration
def test_two_pipelines_of_alike_stages_and_features_drift_each_for_itself(tmp_path: Path) -> None:
    learned = (HERE / "drifting.baseline.json").read_text()
    for pipeline in ("bistro", "kitchen"):
        (tmp_path / "drifting.baseline.json").write_text(learned.replace("kitchen", pipeline))
        (tmp_path / "menu.yaml").write_text(MENU.format(pipeline=pipeline))
        (tmp_path / f"{pipeline}.rules.yml").write_text(rule_file(rules(plan(load(tmp_path / "menu.yaml")).spec)))
    # The bistro's code does not know salad any more, so nothing counts it there; the kitchen is as ever.
    inputs = orders("bistro", {"soup": 500, "tart": 500, "other": 2})
    inputs |= orders("kitchen", {"soup": 498, "salad": 300, "tart": 200, "other": 2})
    expr = "count by (pipeline) (ALERTS{alertstate='firing'})"
    fires = {"expr": expr, "eval_time": "10h", "exp_samples": [{"labels": '{pipeline="bistro"}', "value": 1}]}
    series = [{"series": each, "values": values} for each, values in inputs.items()]
    for first, second in (("bistro", "kitchen"), ("kitchen", "bistro")):
        test = {"interval": "30m", "input_series": series, "promql_expr_test": [fires]}
        files = [f"{first}.rules.yml", f"{second}.rules.yml"]
        document = {"rule_files": files, "evaluation_interval": "30m", "tests": [test]}
        judge(tmp_path, document)


KITCHENS = """
pipeline: shop
scrape_interval: 1m
select: {namespace: prod}
keep: [cluster]
targets: {job: shop}
stages: {classify: {}}
failure_modes:
  silent: {what: Nobody calls, stage: classify, signal: no_calls, for: 2m}
"""


@pytest.mark.integration
def test_a_cluster_whose_targets_are_down_is_told_of_until_they_are_up_or_known_no_more(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(KITCHENS)
    (tmp_path / "rules.yml").write_text(rule_file(rules(plan(load(tmp_path / "shop.yaml")).spec)))

    def place(cluster: str, namespace: str = "prod") -> str:
        return f'namespace="{namespace}",cluster="{cluster}"'

    calls = 'pipemon_stage_calls_total{{pipeline="shop",stage="classify",version="1",track="stable",{}}}'
    inputs = {calls.format(place("a")): "0+100x400"}
    inputs |= {calls.format(place(cluster)): "0+100x60 stale" for cluster in ("b", "c")}
    inputs |= {f'up{{job="shop",{place("a")}}}': "1x400", f'up{{job="shop",{place("b")}}}': "1x60 0x340"}
    # Another target of b is down as well, c is taken down for good, and staging is none of ours.
    inputs |= {f'up{{job="shop",instance="b-2",{place("b")}}}': "0x400", f'up{{job="shop",{place("c")}}}': "1x60 stale"}
    inputs |= {f'up{{job="shop",{place("d", "staging")}}}': "0x400", f'up{{job="other",{place("e")}}}': "0x400"}
    exprs = [
        {
            "expr": "count by (cluster, namespace, stage) (ALERTS{alertstate='firing'})",
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": f'{{{place(cluster)},stage="classify"}}', "value": 1} for cluster in clusters],
        }
        for minute, clusters in ((58, ()), (75, ("b", "c")), (300, ("b",)))
    ]
    series = [{"series": each, "values": values} for each, values in inputs.items()]
    tests = [{"interval": "1m", "input_series": series, "promql_expr_test": exprs}]
    document = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": tests}
    judge(tmp_path, document)


HEAT = """
pipeline: kitchen
baseline: heat.json
select: {{env: {env}}}
stages: {{taste: {{features: {{input.heat: celsius}}}}}}
failure_modes:
  hot: {{what: Dishes are hotter, stage: taste, signal: {{drift: psi of input.heat}}, for: 30m}}
"""
BOUNDS = {"prod": (40.0, 52.0, 57.0, 61.0, 65.0, 70.0, 85.0), "staging": (40.0, 52.0, 58.0, 61.0, 65.0, 70.0, 85.0)}
SHARES = (0.004, 0.136, 0.18, 0.18, 0.18, 0.176, 0.14, 0.004)
HOTTER = (0.004, 0.036, 0.08, 0.18, 0.18, 0.176, 0.24, 0.104)


def heats(env: str, shares: tuple[float, ...]) -> dict[str, str]:
    """The histogram of a place in which 1000 dishes come each half an hour, so many in each bin of its baseline."""
    place = f'pipeline="kitchen",stage="taste",version="2",track="stable",direction="input",feature="heat",env="{env}"'
    found = {f'pipemon_feature_info{{{place},bins="{fingerprint(BOUNDS[env])}"}}': "1x24"}
    for bound, count in zip((*BOUNDS[env], "+Inf"), accumulate(shares), strict=True):
        found[f'pipemon_feature_value_bucket{{{place},le="{bound}"}}'] = f"0+{1000 * count:.6g}x24"
    return found


@pytest.mark.integration
def test_staging_and_production_drift_each_from_the_baseline_of_its_own(tmp_path: Path) -> None:
    learned = json.loads((HERE / "drifting.baseline.json").read_text())
    for env, bounds in BOUNDS.items():
        learned["features"]["taste.input.heat"]["bounds"] = bounds
        (tmp_path / "heat.json").write_text(json.dumps(learned))
        (tmp_path / "heat.yaml").write_text(HEAT.format(env=env))
        (tmp_path / f"{env}.rules.yml").write_text(rule_file(rules(plan(load(tmp_path / "heat.yaml")).spec)))
    tests = []
    for hot, calm in (("prod", "staging"), ("staging", "prod")):
        series = [{"series": a, "values": b} for a, b in (heats(hot, HOTTER) | heats(calm, SHARES)).items()]
        expr = "count by (env) (ALERTS{alertstate='firing'})"
        fires = {"expr": expr, "eval_time": "10h", "exp_samples": [{"labels": f'{{env="{hot}"}}', "value": 1}]}
        tests.append({"interval": "30m", "input_series": series, "promql_expr_test": [fires]})
    document = {"rule_files": [f"{env}.rules.yml" for env in BOUNDS], "evaluation_interval": "30m", "tests": tests}
    judge(tmp_path, document)
