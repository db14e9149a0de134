"""What `--edge` makes: a device that needs no centre, and a centre that alerts on what devices say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from command_line import Ended, pipemon
from real_servers import tool
from rule_subsets import LOADER, Document, failing

from pipemon.errors import OptionError
from pipemon.generate.edge.device import BLOCK, Edge, edge
from pipemon.generate.inhibition import plan
from pipemon.generate.output import Options, files, write
from pipemon.spec.load import load
from pipemon.spec.scale import scaled
from pipemon.units import seconds

HERE = Path(__file__).parent
GOLDEN = HERE.parent / "golden" / "edge"
SPECS = [HERE / "every_signal.yaml", HERE / "combined.yaml"]
URL = "https://centre.example/api/v1/write"
LINE = edge(URL, ["site=line-3"], agent=False, time_scale=1.0)


def made(place: Edge, spec: Path = SPECS[1], scale: float = 1.0) -> dict[str, str]:
    return files([plan(scaled(load(spec), scale))], Options(time_scale=scale, edge=place))


def rules(text: str) -> list[dict[str, str]]:
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


def test_generated_files_are_the_reviewed_ones() -> None:
    usual = files([plan(load(SPECS[1]))], Options())
    own = {name: text for name, text in made(LINE).items() if usual.get(name) != text}
    if os.environ.get("PIPEMON_GOLDEN") == "write":
        write(GOLDEN, own)
    assert {str(path.relative_to(GOLDEN)) for path in GOLDEN.rglob("*") if path.is_file()} == set(own)
    for name, text in own.items():
        assert (GOLDEN / name).read_text(encoding="utf-8") == text, (
            f"{name} differs; run `make golden`, review the diff"
        )


def test_only_the_configuration_of_prometheus_differs_from_the_usual_files() -> None:
    usual = files([plan(load(SPECS[1]))], Options())
    device = made(LINE)
    assert {name for name, text in usual.items() if device[name] != text} == {"prometheus.yml"}


def parts(path: Path, every: int) -> Iterator[tuple[Document, Document]]:
    """Rule files and tests for them, a dozen at most: promtool evaluates all rules in each of the tests."""
    tests = yaml.load(path.read_text(), LOADER)
    (name,) = tests["rule_files"]
    document = yaml.load((path.parent / name).read_text(), LOADER)
    chosen = tests["tests"][::every]
    count = -(-len(chosen) // 12)
    for number in range(count):
        own = chosen[number::count]
        asked = {"PipemonEdgeLinkLost", *re.findall(r"alertname[\\\"'=: ]+(\w+)", str(own))}
        groups = [
            {**group, "rules": [rule for rule in group["rules"] if "record" in rule or rule["alert"] in asked]}
            for group in document["groups"]
        ]
        yield {"groups": groups}, {**tests, "tests": own}


@pytest.mark.parametrize(
    ("spec", "agent", "scale"),
    [(SPECS[0], False, 20.0), (SPECS[1], False, 1.0), (SPECS[1], True, 1.0)],
    ids=["every signal, faster", "server", "agent"],
)
def test_prometheus_and_alertmanager_accept_both_sides_and_the_rule_tests_pass(
    tmp_path: Path, spec: Path, agent: bool, scale: float
) -> None:
    place = edge(URL, ["site=line-3", "plant=south"], agent=agent, time_scale=scale)
    write(tmp_path, made(place, spec, scale))
    tool("promtool", "check", "config", *(["--agent"] if agent else []), "prometheus.yml", cwd=tmp_path)
    tool("promtool", "check", "config", "centre/prometheus.yml", cwd=tmp_path)
    # Of the device's own rule tests, which an agent leaves to the centre, one in three: others run them all.
    said = [
        failing(tmp_path / "part", *part)
        for path in (tmp_path / "centre" / "rules" / "tests").glob("*.yml")
        for part in parts(path, every=1 if path.name.startswith("edge") else 3)
    ]
    assert set(said) == {""}
    for folder in (".", "centre"):
        tool("amtool", "check-config", f"{folder}/alertmanager/alertmanager.yml", cwd=tmp_path)


@pytest.mark.parametrize(
    ("broken", "instead"),
    [
        ("or\n          (pipemon_edge:alert_last_known", "unless\n          (pipemon_edge:alert_last_known"),
        ("last_heard_timestamp_seconds > time() -", "last_heard_timestamp_seconds > 0 * time() -"),
        ("last_heard_timestamp_seconds <= time() -", "last_heard_timestamp_seconds <= 2 * time() -"),
        ("time() - pipemon_edge:last_heard_timestamp_seconds > 300", "time() > 300"),
        ('failure_mode="', 'failure_mode!="'),
    ],
    ids=["nothing is held", "the past counts", "nothing is let go", "a link is always lost", "another alert"],
)
def test_the_centres_rule_tests_notice_a_broken_rule(tmp_path: Path, broken: str, instead: str) -> None:
    found = made(LINE)
    text = found["centre/rules/edge.rules.yml"]
    assert broken in text
    write(tmp_path, found | {"centre/rules/edge.rules.yml": text.replace(broken, instead)})
    with pytest.raises(AssertionError, match="FAILED"):
        tool("promtool", "test", "rules", "centre/rules/tests/edge.tests.yml", cwd=tmp_path)


def test_the_device_sends_its_alerts_under_a_name_that_the_centres_own_cannot_meet() -> None:
    found = made(LINE)
    (remote,) = yaml.safe_load(found["prometheus.yml"])["remote_write"]
    (kept,) = remote["write_relabel_configs"]
    assert (kept["action"], kept["regex"]) == ("keep", "pipemon_.+|.+:.+|up")
    sent = {rule["record"] for rule in rules(found["rules/edge.rules.yml"])}
    written = {rule.get("record", "ALERTS") for rule in rules(found["centre/rules/edge.rules.yml"])}
    assert sent & written == set()


@pytest.mark.parametrize("spec", SPECS, ids=lambda path: path.stem)
def test_the_centre_has_an_alert_for_each_of_the_devices(spec: Path) -> None:
    found = made(LINE, spec)
    device = [rule["alert"] for rule in rules(found[f"rules/{load(spec).pipeline}.rules.yml"]) if "alert" in rule]
    centre = [rule["alert"] for rule in rules(found["centre/rules/edge.rules.yml"]) if "alert" in rule]
    assert device
    assert centre == [*device, "PipemonEdgeLinkLost"]


def test_one_shard_keeps_the_order_of_what_is_sent() -> None:
    (remote,) = yaml.safe_load(made(LINE)["prometheus.yml"])["remote_write"]
    assert (remote["queue_config"]["min_shards"], remote["queue_config"]["max_shards"]) == (1, 1)


def test_the_centre_takes_samples_as_old_as_the_device_can_still_have() -> None:
    found = made(LINE)
    window = yaml.safe_load(found["centre/prometheus.yml"])["storage"]["tsdb"]["out_of_order_time_window"]
    # A WAL of small segments keeps between two and four blocks.
    assert seconds(window) == 4 * BLOCK
    assert "--storage.tsdb.min-block-duration=1d" in found["edge/pipemon-prometheus.service"]


def test_at_the_centre_a_cause_holds_back_effects_of_its_own_device_only() -> None:
    found = yaml.safe_load(made(LINE, SPECS[0])["centre/alertmanager/alertmanager.yml"])
    assert found["inhibit_rules"]
    labelled = [rule for rule in found["inhibit_rules"] if 'site=""' not in str(rule)]
    assert all("site" in rule["equal"] for rule in labelled)
    assert "site" in found["route"]["group_by"]


def test_in_agent_mode_the_device_has_no_rules_and_the_centre_evaluates_them_for_each_device() -> None:
    found = made(edge(URL, ["site=a"], agent=True, time_scale=1.0))
    device = yaml.safe_load(found["prometheus.yml"])
    assert not {"rule_files", "alerting"} & set(device)
    assert "evaluation_interval" not in device["global"]
    assert "site" in found["centre/rules/shop.rules.yml"]
    assert "rules/edge.rules.yml" not in found
    inhibition = yaml.safe_load(found["centre/alertmanager/alertmanager.yml"])["inhibit_rules"]
    assert ['alertname="PipemonEdgeLinkLost"'] in [rule["source_matchers"] for rule in inhibition]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
@pytest.mark.parametrize("agent", [False, True], ids=["server", "agent"])
def test_systemd_accepts_the_units(tmp_path: Path, agent: bool) -> None:
    units = {n: t for n, t in made(edge(URL, ["site=a"], agent, 1.0)).items() if n.endswith(".service")}
    write(tmp_path, units)
    names = [str(tmp_path / name) for name in units]
    done = subprocess.run(["systemd-analyze", "verify", *names], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_runs_elsewhere_has_no_unit_on_the_device() -> None:
    options = Options(alertmanager="alerts.example:9093", receiver_url="https://hook.example/alerts", edge=LINE)
    units = [name for name in files([plan(load(SPECS[1]))], options) if name.endswith(".service")]
    assert units == ["edge/pipemon-prometheus.service"]


@pytest.mark.parametrize(
    ("url", "labels", "told"),
    [
        ("centre:9090", ["site=a"], "is no URL"),
        ("", ["site=a"], "is no URL"),
        ("http://[", ["site=a"], "is no URL"),
        (URL, [], "needs a label that names the device"),
        (URL, ["site"], "write NAME=VALUE"),
        (URL, ["site="], "write NAME=VALUE"),
        (URL, ["my-site=a"], "write NAME=VALUE"),
        (URL, ["__site=a"], "write NAME=VALUE"),
        (URL, ["site=a", "site=b"], "given twice"),
        (URL, ["stage=a"], "is a label of the metrics or alerts"),
        (URL, ["severity=a"], "is a label of the metrics or alerts"),
    ],
)
def test_a_device_that_cannot_be_told_from_others_or_has_no_centre_is_refused(
    url: str, labels: list[str], told: str
) -> None:
    with pytest.raises(OptionError, match=told):
        edge(url, labels, agent=False, time_scale=1.0)


def test_a_label_that_the_pipelines_series_have_already_is_refused() -> None:
    with pytest.raises(OptionError, match="'cluster' is a label of the series of speech already"):
        made(edge(URL, ["cluster=a"], agent=False, time_scale=1.0), SPECS[0])


def run(folder: Path, *options: str) -> Ended:
    shutil.copy(SPECS[1], folder / "shop.yaml")
    return pipemon("generate", "shop.yaml", *options, cwd=folder)


def test_the_command_writes_both_sides_into_the_output_folder(tmp_path: Path) -> None:
    done = run(tmp_path, "--edge", "--remote-write", URL, "--external-label", "site=line-3")
    assert (done.code, done.err) == (0, "")
    for name, text in made(LINE).items():
        assert (tmp_path / "monitoring" / name).read_text().replace("shop.yaml", "combined.yaml") == text, name


@pytest.mark.parametrize("options", [["--agent"], ["--remote-write", URL], ["--external-label", "site=a"]])
def test_options_of_a_device_without_edge_are_wrong_usage(tmp_path: Path, options: list[str]) -> None:
    done = run(tmp_path, *options)
    assert done.code == 2
    assert "add --edge" in done.err
    assert not (tmp_path / "monitoring").exists()


def test_a_device_without_a_centre_ends_with_one_sentence(tmp_path: Path) -> None:
    done = run(tmp_path, "--edge")
    assert (done.code, len(done.err.splitlines())) == (2, 1)
