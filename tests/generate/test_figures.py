"""The numbers of alerts are as people read them: what Prometheus prints, and what commands and rule tests say of it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from pipemon.generate.annotations import printed, template
from pipemon.generate.inhibition import plan
from pipemon.generate.rules import rule_file, rules
from pipemon.spec.baseline import Baseline, FeatureBaseline, dump
from pipemon.spec.distances import distance
from pipemon.spec.load import load

pytestmark = pytest.mark.integration

VALUES = (0.0001, 0.0123456, -12.3456, 9999.4, 9999.7, -9999.7, 44123.4, -44123.4, 1013250.3, 123456789.0)


def test_prometheus_prints_numbers_as_commands_do_and_none_with_an_exponent(tmp_path: Path) -> None:
    asked = template(". | first | value", "pascals")
    annotations = {"own": template("$value", "pascals"), "asked": f"{{{{ with query `x` }}}}{asked}{{{{ end }}}}"}
    rule = {"alert": "Far", "expr": "x", "annotations": annotations}
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "x", "rules": [rule]}]}))
    tests = []
    for value in VALUES:
        told = printed(value, "pascals")
        assert "e" not in told
        alert = {"exp_labels": {}, "exp_annotations": dict.fromkeys(annotations, told)}
        tests.append(
            {
                "interval": "1m",
                "input_series": [{"series": "x", "values": f"{value!r}"}],
                "alert_rule_test": [{"eval_time": "0m", "alertname": "Far", "exp_alerts": [alert]}],
            }
        )
    (tmp_path / "tests.yml").write_text(json.dumps({"rule_files": ["rules.yml"], "tests": tests}))
    command = ["promtool", "test", "rules", "tests.yml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_alert_of_drift_tells_on_how_many_values_that_version_rests_that_is_furthest(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(
        "pipeline: shop\nkeep: [cluster, namespace]\nbaseline: shop.baseline.json\nscrape_interval: 5m\n"
        "stages: {hear: {features: {input.word: [left, right]}}}\n"
        "failure_modes: {unlike: {what: x, stage: hear, signal: {drift: input.word}}}\n"
    )
    base = FeatureBaseline(0.0, 0.0, 9000.0, categories={"left": 0.5, "right": 0.5})
    (tmp_path / "shop.baseline.json").write_text(dump(Baseline("shop", 0.0, 1.0, {"hear.input.word": base})))
    # Words in each five minutes, of which there are 72 in the window; the third version is as the baseline.
    series = {}
    for version, left, right in (("1", 100, 50), ("2", 9, 1), ("3", 1000, 1000), ("elsewhere", 1000, 0)):
        cluster = "b" if version == "elsewhere" else "a"
        place = f'cluster="{cluster}",namespace="prod",pipeline="shop",stage="hear",version="{version}",track="stable"'
        place += ',direction="input",feature="word"'
        series[f'pipemon_feature_info{{{place},bins=""}}'] = "1x96"
        for word, count in (("left", left), ("right", right)):
            series[f'pipemon_feature_category_total{{{place},category="{word}"}}'] = f"0+{count}x96"
    made = yaml.safe_load(rule_file(rules(plan(load(tmp_path / "shop.yaml")).spec)))
    told = "Drift of word (psi) of hear input: {} over 6h on {} values, above 0.1 and more than chance explains."
    for group in made["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                rule["labels"], rule["annotations"] = {}, {"description": rule["annotations"]["description"]}
    (tmp_path / "rules.yml").write_text(json.dumps(made))
    psi = printed(distance("psi", (0.9, 0.1), (0.5, 0.5), (0.5, 0.5), (), 720.0), "")
    labels = {"pipeline": "shop", "stage": "hear", "namespace": "prod"}
    alert = {"exp_labels": labels | {"cluster": "a"}, "exp_annotations": {"description": told.format(psi, 720)}}
    far = printed(distance("psi", (1.0, 0.0), (0.5, 0.5), (0.5, 0.5), (), 72_000.0), "")
    other = {"exp_labels": labels | {"cluster": "b"}, "exp_annotations": {"description": told.format(far, 72_000)}}
    test = {
        "interval": "5m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [{"eval_time": "8h", "alertname": "ShopUnlike", "exp_alerts": [alert, other]}],
    }
    document = {"rule_files": ["rules.yml"], "evaluation_interval": "5m", "tests": [test]}
    (tmp_path / "tests.yml").write_text(json.dumps(document))
    command = ["promtool", "test", "rules", "tests.yml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
