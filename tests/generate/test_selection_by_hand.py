"""Staging beside production in one Prometheus, each with its own rules: neither must fire for the other, or hide it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from pipemon.generate.inhibition import plan
from pipemon.generate.rules import rule_file, rules
from pipemon.spec.load import load

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
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(document, sort_keys=False))
    done = subprocess.run(
        ["promtool", "test", "rules", "tests.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
