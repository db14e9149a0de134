"""Stages of any pipeline stand along the cascade, and the eye falls on the one that is the cause."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_dashboard import ERRORS, cascade, mode, titled

from pipemon.generate.dashboards.generic import generic
from pipemon.generate.dashboards.pipeline import dashboard
from pipemon.generate.dashboards.states import (
    FIRING,
    LESS_OF_AN_EFFECT,
    MODE_STATES,
    SEVERITY_STATES,
    STAGE_STATES,
)
from pipemon.generate.dashboards.topology import TILES

pytestmark = pytest.mark.integration

CAUSE, EFFECT = FIRING["page"], FIRING["page"] - LESS_OF_AN_EFFECT
EDGES = (("wash", "cook"), ("wash", "slice"), ("cook", "bake"), ("slice", "bake"), ("bake", "serve"))
"""The names of the stages run against their order."""


def promtool(expr: str, series: Mapping[str, str], expected: Mapping[str, float], folder: Path) -> None:
    """Hold an expression to what it gives after ten minutes, by its labels."""
    samples = [{"labels": labels, "value": value} for labels, value in expected.items()]
    tests = {
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{"expr": expr, "eval_time": "10m", "exp_samples": samples}],
    }
    (folder / "tests.yml").write_text(yaml.safe_dump({"tests": [tests]}))
    done = subprocess.run(
        ["promtool", "test", "rules", "tests.yml"], cwd=folder, capture_output=True, check=False, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def kitchen() -> dict[str, str]:
    """What the stages of a pipeline that branches export."""
    names = {name for edge in EDGES for name in edge}
    calls = {f'pipemon_stage_calls_total{{pipeline="p",stage="{name}",track="stable"}}': "0+30x40" for name in names}
    edges = {f'pipemon_stage_upstream_info{{pipeline="p",stage="{b}",upstream="{a}"}}': "1x40" for a, b in EDGES}
    return calls | edges


def fires(stage: str, since: float, more: str = "", severity: str = "critical") -> dict[str, str]:
    """An alert of a stage that fires, and since which second."""
    labels = f'pipeline="p",stage="{stage}",alertname="{stage}",severity="{severity}"{more}'
    return {f'ALERTS{{{labels},alertstate="firing"}}': "1x40", f"ALERTS_FOR_STATE{{{labels}}}": f"{since}x40"}


def tiles() -> str:
    """The query of the stages' states on the dashboard of any pipeline."""
    (panel, *_) = titled(generic()["cascade"], "Health of the stages")
    text: str = panel["targets"][0]["expr"]
    return re.sub(r"\$(pipeline)", "p", text)


def test_stages_stand_along_the_cascade_and_beside_each_other_where_it_branches(tmp_path: Path) -> None:
    places = {"wash": "01", "cook": "02", "slice": "02", "bake": "03", "serve": "04"}
    expected = {f'{{at="{place}",order="{place} {name}",stage="{name}"}}': 0.0 for name, place in places.items()}
    promtool(tiles(), kitchen(), expected, tmp_path)


@pytest.mark.parametrize(
    ("since", "states"),
    [
        ({"wash": 100, "serve": 100}, {"wash": CAUSE, "serve": EFFECT}),
        ({"cook": 100, "slice": 100, "bake": 130}, {"cook": CAUSE, "slice": CAUSE, "bake": EFFECT}),
        ({"cook": 400, "bake": 200}, {"cook": CAUSE, "bake": EFFECT}),
        ({"cook": 600, "bake": 200}, {"cook": CAUSE, "bake": CAUSE}),
        ({"wash": 600, "cook": 100, "bake": 150}, {"wash": CAUSE, "cook": CAUSE, "bake": EFFECT}),
    ],
    ids=[
        "far down", "of two at once", "a cause that is seen a little later", "what began long before is no effect",
        "what is between counts too",
    ],
)  # fmt: skip
def test_a_stage_that_may_only_suffer_is_dim(since: dict[str, float], states: dict[str, float], tmp_path: Path) -> None:
    series = kitchen()
    for stage, when in since.items():
        series |= fires(stage, when)
    every = {name: states.get(name, 0.0) for edge in EDGES for name in edge}
    promtool(f"max by (stage) ({tiles()})", series, {f'{{stage="{n}"}}': v for n, v in every.items()}, tmp_path)


@pytest.mark.parametrize(
    ("above", "below", "state"),
    [("info", "critical", CAUSE), ("warning", "critical", CAUSE), ("critical", "warning", FIRING["ticket"] - 3)],
)
def test_what_is_less_severe_is_no_cause_of_what_is_more(above: str, below: str, state: int, tmp_path: Path) -> None:
    series = kitchen() | fires("wash", 100, severity=above) | fires("bake", 200, severity=below)
    bake = 'label_replace(vector(1), "stage", "bake", "", "")'
    promtool(f"max(({tiles()}) and on (stage) {bake})", series, {"{}": state}, tmp_path)
    (panel,) = titled(dashboard(cascade(3, 0, (mode(conditions=(ERRORS,)),))), "Cascade now")
    series = fires("s0", 100, severity=above) | fires("s2", 200, severity=below)
    series = {name.replace('pipeline="p"', 'pipeline="chain"'): values for name, values in series.items()}
    promtool(panel["targets"][2]["expr"], series, {"{}": state}, tmp_path)


def test_end_to_end_may_suffer_from_any_stage(tmp_path: Path) -> None:
    (panel,) = titled(
        dashboard(cascade(2, 0, (mode(conditions=(ERRORS,)), mode(stage=None, name="whole", conditions=(ERRORS,))))),
        "Cascade now",
    )
    of_all = panel["targets"][-1]
    assert of_all["legendFormat"] == "end to end"
    for stages, state in ((("",), CAUSE), (("", "s1"), EFFECT)):
        series = {
            name.replace('pipeline="p"', 'pipeline="chain"'): v for s in stages for name, v in fires(s, 100).items()
        }
        promtool(of_all["expr"], series, {"{}": state}, tmp_path)


@pytest.mark.parametrize(("first", "second"), [(100, EFFECT), (400, EFFECT), (600, CAUSE)])
def test_so_it_is_on_the_pipelines_own_dashboard(first: float, second: float, tmp_path: Path) -> None:
    made: dict[str, Any] = dashboard(cascade(3, 0, (mode(conditions=(ERRORS,)),)))
    (panel,) = titled(made, "Cascade now")
    series = fires("s0", first) | fires("s2", 200)
    series = {name.replace('pipeline="p"', 'pipeline="chain"'): values for name, values in series.items()}
    exprs = [target["expr"] for target in panel["targets"]]
    promtool(exprs[0], series, {"{}": CAUSE}, tmp_path)
    promtool(exprs[2], series, {"{}": second}, tmp_path)


def test_alerts_of_no_stage_and_of_what_is_not_scraped_stand_at_the_end(tmp_path: Path) -> None:
    (panel,) = titled(generic()["cascade"], "Firing now")
    series = kitchen() | fires("cook", 100) | fires("", 50) | fires("gone", 60)
    labels = 'alertname="{0}",severity="critical"'
    expected = {
        f'{{at="02",stage="cook",opens="cook",{labels.format("cook")}}}': 100_000.0,
        f'{{at="end",stage="gone",opens="gone",{labels.format("gone")}}}': 60_000.0,
        '{at="end",stage="end to end",opens="All",severity="critical"}': 50_000.0,
    }
    promtool(re.sub(r"\$pipeline", "p", panel["targets"][0]["expr"]), series, expected, tmp_path)


def test_stages_that_are_no_longer_scraped_are_not_forgotten_nor_their_places(tmp_path: Path) -> None:
    gone = {name: values.replace("x40", "x10 stale") for name, values in kitchen().items()}
    places = {"wash": "01", "cook": "02", "slice": "02", "bake": "03", "serve": "04"}
    expected = {f'{{at="{place}",order="{place} {name}",stage="{name}"}}': -2.0 for name, place in places.items()}
    promtool(tiles(), gone, expected, tmp_path)
    (panel,) = titled(generic()["cascade"], "Health of the stages")
    assert panel["fieldConfig"]["defaults"]["mappings"][0]["options"]["-2"]["text"] == "? no data"


def long_cascade(stages: int) -> dict[str, str]:
    """What so many stages export, one after the other."""
    names = [f"s{i}" for i in range(stages)]
    calls = {f'pipemon_stage_calls_total{{pipeline="p",stage="{name}",track="stable"}}': "0+30x40" for name in names}
    edges = {
        f'pipemon_stage_upstream_info{{pipeline="p",stage="{b}",upstream="{a}"}}': "1x40" for a, b in pairwise(names)
    }
    return calls | edges


def test_of_a_long_cascade_the_stages_that_are_well_are_one_tile(tmp_path: Path) -> None:
    few = {f'{{at="{i + 1:02}",order="{i + 1:02} s{i}",stage="s{i}"}}': 0.0 for i in range(TILES)}
    promtool(tiles(), long_cascade(TILES), few, tmp_path)
    many = long_cascade(TILES + 1) | fires("s1", 100) | fires("s5", 120)
    whole = {"s1": CAUSE, "s5": EFFECT, f"{TILES - 1} stages": 0.0}
    places = {"s1": "02", "s5": "06", f"{TILES - 1} stages": "end"}
    expected = {f'{{at="{places[n]}",order="{places[n]} {n}",stage="{n}"}}': v for n, v in whole.items()}
    promtool(tiles(), many, expected, tmp_path)
    # Its own dashboard knows the stages of which there is nothing, too.
    modes = (mode(conditions=(ERRORS,)), mode("whole", stage=None, conditions=(ERRORS,)))
    (panel,) = titled(dashboard(cascade(TILES + 2, 0, modes)), "Cascade now")
    (own,) = (target["expr"] for target in panel["targets"])
    series = {name.replace('pipeline="p"', 'pipeline="chain"'): v for name, v in (many | fires("", 130)).items()}
    places |= {f"s{TILES + 1}": f"{TILES + 2}", "end to end": "end"}
    whole |= {f"s{TILES + 1}": -2.0, "end to end": EFFECT}
    promtool(own, series, {f'{{at="{places[n]}",stage="{n}"}}': v for n, v in whole.items()}, tmp_path)


def test_each_state_has_a_sign_of_its_own() -> None:
    for states in (STAGE_STATES, MODE_STATES, SEVERITY_STATES):
        options: Any = states["options"]
        signed = [each["text"] for each in options.values() if each["text"] not in ("pending", " ")]
        assert all(text[1] == " " for text in signed)
        alone = [text[0] for text in signed if not text.startswith("↳")]
        assert len({*alone}) == len(alone)


def test_a_stages_own_dashboard_lists_what_fires_and_neither_what_waits_nor_what_is_in_its_burn_in(
    tmp_path: Path,
) -> None:
    (panel,) = titled(generic()["stage"], "Firing now")
    waits = fires("cook", 90, ',failure_mode="waits"')
    waits = {name.replace('alertstate="firing"', 'alertstate="pending"'): values for name, values in waits.items()}
    tried = fires("cook", 80, ',failure_mode="tried",mode="observe"')
    series = waits | tried | fires("cook", 100, ',failure_mode="burns"') | fires("wash", 70)
    expected = {'{alertname="cook",failure_mode="burns",severity="critical"}': 100_000.0}
    expr = panel["targets"][0]["expr"].replace("$pipeline", "p").replace("$stage", "cook")
    promtool(expr, series, expected, tmp_path)


def test_a_stage_whose_job_pushed_is_well_until_an_alert_fires(tmp_path: Path) -> None:
    """What a job pushed has no rate, and a service of which nothing is called has no last success."""
    pushed = {name: "30x40" for name in kitchen() if "calls_total" in name}
    promtool(f"max({tiles()})", pushed, {"{}": -1.0}, tmp_path)
    pushed['pipemon_batch_last_success_timestamp_seconds{pipeline="p"}'] = "0x40"
    promtool(f"min({tiles()})", pushed, {"{}": 0.0}, tmp_path)
    promtool(f"max({tiles()})", pushed | fires("cook", 100), {"{}": CAUSE}, tmp_path)
    (counted,) = titled(generic()["cascade"], "What the last run counted")
    calls, _, failed = (target["expr"].replace("$pipeline", "p") for target in counted["targets"][:3])
    pushed |= {name.replace("calls_total", "failures_total"): "3x40" for name in pushed if "calls_total" in name}
    promtool(f"max({calls})", pushed, {"{}": 30.0}, tmp_path)
    promtool(f"max({failed})", pushed, {"{}": 0.1}, tmp_path)
