"""Manifests for the Prometheus Operator: valid by its own definitions, and the same rules and routes."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from pipemon.errors import OptionError
from pipemon.generate.formats.kubernetes import in_namespace, kubernetes_files
from pipemon.generate.inhibition import plan
from pipemon.generate.output import Options, files, generate
from pipemon.spec.load import load
from pipemon.spec.model import Spec

HERE = Path(__file__).parent
CRDS = Path(os.environ.get("PIPEMON_GRAFANA_SCHEMAS", HERE.parents[2] / "shared" / "grafana")) / "crd"
SPEECH = HERE.parents[1] / "examples" / "speech" / "failure_modes.yaml"
KUBERNETES = Options(formats=("kubernetes",))


class _Loader(yaml.SafeLoader):
    """The definitions list operators, and a lone `=` is a type of its own in YAML 1.1."""


_Loader.add_constructor("tag:yaml.org,2002:value", lambda loader, node: node.value)


def schema(plural: str) -> dict[str, Any]:
    path = CRDS / f"monitoring.coreos.com_{plural}.yaml"
    if not path.exists():
        pytest.skip(f"needs {path.name}; PIPEMON_GRAFANA_SCHEMAS names the folder above `crd`")
    found = closed(yaml.load(path.read_text(), _Loader)["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
    assert isinstance(found, dict)
    return found


def closed(node: Any) -> Any:
    """As the API server with strict validation: what a definition does not name is a mistake."""
    if isinstance(node, list):
        return [closed(each) for each in node]
    if not isinstance(node, dict):
        return node
    found = {key: closed(value) for key, value in node.items()}
    if isinstance(node.get("properties"), dict) and node.get("type") == "object":
        found.setdefault("additionalProperties", False)
    if found.get("x-kubernetes-int-or-string"):
        found.pop("type", None)
    return found


@pytest.fixture(scope="module")
def spec() -> Spec:
    """Every signal of the language; it selects its namespace."""
    return in_namespace(load(HERE / "every_signal.yaml"), "")


@pytest.fixture(scope="module")
def made(spec: Spec) -> dict[str, str]:
    return files([plan(spec)], KUBERNETES)


def manifest(made: dict[str, str], kind: str) -> dict[str, Any]:
    (found,) = [yaml.safe_load(text) for path, text in made.items() if path.endswith(f".{kind}.yaml")]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("kind", "plural"), [("prometheusrule", "prometheusrules"), ("alertmanagerconfig", "alertmanagerconfigs")]
)
def test_resources_are_valid_by_the_operators_definitions(made: dict[str, str], kind: str, plural: str) -> None:
    body = manifest(made, kind)
    definition = schema(plural)
    definition["properties"]["metadata"] = {"type": "object"}
    assert [error.message for error in Draft202012Validator(definition).iter_errors(body)] == []
    body["spec"]["mistaken"] = 1
    assert list(Draft202012Validator(definition).iter_errors(body))


def test_routes_within_routes_are_valid_too(made: dict[str, str]) -> None:
    """The definition leaves them open; the operator reads them as routes."""
    definition = schema("alertmanagerconfigs")["properties"]["spec"]["properties"]["route"]
    routes = manifest(made, "alertmanagerconfig")["spec"]["route"]["routes"]
    assert len(routes) > 2
    for route in routes:
        assert [error.message for error in Draft202012Validator(definition).iter_errors(route)] == []


def test_rules_are_those_of_the_rule_file(made: dict[str, str], spec: Spec) -> None:
    assert manifest(made, "prometheusrule")["spec"] == yaml.safe_load(made[f"rules/{spec.pipeline}.rules.yml"])


def test_routes_and_inhibition_are_those_of_alertmanagers_own_file(made: dict[str, str]) -> None:
    own = yaml.safe_load(made["alertmanager/alertmanager.yml"])
    body = manifest(made, "alertmanagerconfig")["spec"]

    def written(matchers: list[dict[str, str]]) -> list[str]:
        return [f"{m['name']}{m['matchType']}{json.dumps(m['value'])}" for m in matchers]

    assert [written(r["matchers"]) for r in body["route"]["routes"]] == [r["matchers"] for r in own["route"]["routes"]]
    assert [r["receiver"] for r in body["route"]["routes"]] == [r["receiver"] for r in own["route"]["routes"]]
    assert [r["equal"] for r in body["inhibitRules"]] == [r["equal"] for r in own["inhibit_rules"]]
    assert [written(r["sourceMatch"]) for r in body["inhibitRules"]] == [
        r["source_matchers"] for r in own["inhibit_rules"]
    ]


def test_every_alert_has_the_namespace_by_which_the_operator_routes(made: dict[str, str]) -> None:
    """An absence and a written expression have no label that they are not given."""
    groups = manifest(made, "prometheusrule")["spec"]["groups"]
    alerts = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    assert alerts
    lacking = [a["alert"] for a in alerts if a["labels"].get("namespace") != "prod" and "namespace" not in a["expr"]]
    assert lacking == []
    assert "namespace" in manifest(made, "alertmanagerconfig")["spec"]["route"]["groupBy"]


def test_grafanas_sidecar_finds_the_dashboard(made: dict[str, str], spec: Spec) -> None:
    for name, path in (("speech", "speech.json"), ("any.stage", "any/stage.json")):
        found = yaml.safe_load(made[f"kubernetes/{name}.dashboard.yaml"])
        assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
        (text,) = found["data"].values()
        assert json.loads(text) == json.loads(made[f"grafana/dashboards/{path}"])


def test_the_folder_of_kustomize_names_every_manifest(made: dict[str, str]) -> None:
    folder = {path.removeprefix("kubernetes/") for path in made if path.startswith("kubernetes/")}
    named = yaml.safe_load(made["kubernetes/kustomization.yaml"])["resources"]
    assert {*named, "kustomization.yaml"} == folder


def test_a_dashboard_that_no_config_map_takes_is_refused_with_another_way(
    made: dict[str, str], spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipemon.generate.formats.kubernetes._MOST", 100_000)
    with pytest.raises(OptionError, match=r"speech.json is [\d,]+ bytes, and a ConfigMap .* bring it by pipemon push"):
        kubernetes_files([plan(spec)], made, "http://receiver")


def test_without_a_namespace_one_is_asked_for() -> None:
    with pytest.raises(OptionError, match="give --namespace"):
        in_namespace(load(SPEECH), "")


def test_a_namespace_that_is_not_the_selected_one_is_refused(spec: Spec) -> None:
    with pytest.raises(OptionError, match="selects the namespace 'prod', and --namespace says 'staging'"):
        in_namespace(spec, "staging")


def test_what_can_be_no_namespace_is_refused() -> None:
    with pytest.raises(OptionError, match="'ML_team' can't be a namespace of Kubernetes"):
        in_namespace(load(SPEECH), "ML_team")


def test_rules_in_a_namespace_pass_their_own_tests(tmp_path: Path) -> None:
    made = generate([HERE / "combined.yaml"], tmp_path, replace(KUBERNETES, namespace="shop"))
    (tests,) = [tmp_path / path for path in made.paths if path.endswith("shop.bounds.tests.yml")]
    subprocess.run(["promtool", "test", "rules", tests.name], cwd=tests.parent, check=True, capture_output=True)
    document = yaml.safe_load((tmp_path / "rules" / "shop.rules.yml").read_text())
    exprs = [rule["expr"] for group in document["groups"] for rule in group["rules"]]
    assert any('namespace="shop"' in expr for expr in exprs)


def test_two_pipelines_of_one_name_in_kubernetes_are_refused(spec: Spec) -> None:
    plans = [plan(replace(spec, pipeline=name)) for name in ("a_b", "a-b")]
    made = {
        path: "{}"
        for one in plans
        for path in (
            f"rules/{one.spec.pipeline}.rules.yml",
            f"grafana/dashboards/{one.spec.pipeline}.json",
            f"{one.spec.pipeline}.bounds.json",
        )
    }
    with pytest.raises(OptionError, match="two pipelines would both make kubernetes/a-b"):
        kubernetes_files(plans, made, "http://127.0.0.1:9465/alerts")
