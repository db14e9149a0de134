"""An announced change in the real rule engine: its alerts are held from the first evaluation in it to the last."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path

import past
import pytest
from click.testing import CliRunner
from real_servers import running_prometheus
from rule_tests import Expect, check, rules_of

from pipemon.cli import cli

pytestmark = pytest.mark.integration

SPEC = """\
pipeline: plates
baseline: plates.baseline.json
stages:
  crop: {budget: 50ms, features: {input.level: dB}}
  sort: {after: crop, budget: 50ms, features: {input.level: dB}}
failure_modes:
  darker: {what: it is darker, stage: crop, signal: {mean: input.level}, changes_by: 3 sd, for: 2m}
  too-dark: {what: it is too dark, stage: crop, signal: {mean: input.level}, below: 5, for: 2m}
  elsewhere: {what: it is darker, stage: sort, signal: {mean: input.level}, changes_by: 3 sd, for: 2m}
"""


def test_a_stages_drift_alerts_are_held_and_no_others(tmp_path: Path) -> None:
    # Every value is 2 where the baseline says 20 and 2: all three fire from 5:00 at the latest, but from 10:00 to
    # 20:00 nothing of the drift at crop. It holds again at 20:00, and for two minutes at 22:00. The rule groups have no
    # order among them, so an alert may see the change an evaluation later.
    features = {f"{stage}.input.level": {"mean": 20, "sd": 2, "count": 500} for stage in ("crop", "sort")}
    document = {"pipeline": "plates", "from": 0, "to": 1, "features": features}
    (tmp_path / "plates.baseline.json").write_text(json.dumps(document))
    change = {"what": "new $1 screens", "stage": "crop", "from": "1970-01-01T00:10:00Z", "to": "1970-01-01T00:20:00Z"}
    (tmp_path / "plates.expected.json").write_text(json.dumps({"changes": [change]}))
    (tmp_path / "plates.yaml").write_text(SPEC)
    series = {}
    for stage in ("crop", "sort"):
        place = f'pipeline="plates",stage="{stage}",version="1",track="stable",direction="input",feature="level"'
        series[f'pipemon_feature_value_bucket{{{place},le="+Inf"}}'] = "0+4x120"
        series[f'pipemon_feature_sum_total{{{place},sign="positive"}}'] = "0+8x120"
        series[f'pipemon_feature_sum_total{{{place},sign="negative"}}'] = "0x120"
    firing = 'count by (alertname) (ALERTS{alertstate="firing"})'
    held = {'{alertname="PlatesTooDark"}': 1.0, '{alertname="PlatesElsewhere"}': 1.0}
    every = {'{alertname="PlatesDarker"}': 1.0, **held}
    marked = {'pipemon:expected:change{pipeline="plates",stage="crop",change="new $1 screens"}': 1.0}
    expected = [
        Expect("9m45s", firing, every),
        Expect("9m45s", "pipemon:expected:change", {}),
        Expect("10m15s", firing, held),
        Expect("10m", "pipemon:expected:change", marked),
        Expect("19m45s", firing, held),
        Expect("20m", "pipemon:expected:change", {}),
        Expect("21m45s", firing, held),
        Expect("22m15s", firing, every),
    ]
    check(rules_of(tmp_path / "plates.yaml"), series, expected, tmp_path)


@pytest.mark.parametrize(("many", "offers"), [(2000, True), (900, False)])
def test_once_there_is_enough_a_new_baseline_is_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: int, offers: bool
) -> None:
    start = int(time.time()) // past.STEP * past.STEP - 3600
    monkeypatch.setattr(past, "BEGIN", start)
    place = 'pipeline="plates",stage="crop",version="1",track="stable",direction="input",feature="level"'
    counts: list[float | None] = [step * many / 240 for step in range(241)]
    past.blocks({f"pipemon_feature_observed_total{{{place}}}": counts}, tmp_path / "data")
    file = tmp_path / "plates.yaml"
    file.write_text(SPEC.replace("baseline: plates.baseline.json\n", ""))
    begin = datetime.fromtimestamp(start + 600, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    asked = ["expect", "new screens", "--stage", "crop", "--from", begin, "--spec", str(file)]
    assert CliRunner().invoke(cli, asked).exit_code == 0
    with running_prometheus("{}", tmp_path) as prometheus:
        told = CliRunner().invoke(cli, ["expect", "--spec", str(file), "--url", prometheus.url])
    assert told.exit_code == 0, told.output
    offer = f"    pipemon baseline {file} --url {prometheus.url} --from {begin}"
    assert (offer in told.stdout.splitlines()) == offers, told.output
    assert ("observations that a new baseline needs" in told.stdout) != offers
