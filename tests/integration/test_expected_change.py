"""An announced change in the real rule engine: its alerts are held from the first evaluation in it to the last."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rule_tests import Expect, check, rules_of

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
    marked = {'pipemon:expected_change{pipeline="plates",stage="crop",change="new $1 screens"}': 1.0}
    expected = [
        Expect("9m45s", firing, every),
        Expect("9m45s", "pipemon:expected_change", {}),
        Expect("10m15s", firing, held),
        Expect("10m", "pipemon:expected_change", marked),
        Expect("19m45s", firing, held),
        Expect("20m", "pipemon:expected_change", {}),
        Expect("21m45s", firing, held),
        Expect("22m15s", firing, every),
    ]
    check(rules_of(tmp_path / "plates.yaml"), series, expected, tmp_path)
