"""How many features of a stage have drifted at once, and which: by promtool, on values of several."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path

import pytest
from rule_subsets import failing_modes
from rule_tests import Expect, check, rules_of

from pipemon.errors import SpecError
from pipemon.generate.inhibition import plan
from pipemon.generate.rules import rules
from pipemon.spec.load import load
from pipemon.units import fingerprint

pytestmark = pytest.mark.integration

SPEC = """\
pipeline: shop
owner: team
baseline: shop.baseline.json
stages: {hear: {features: {input.length: words, input.pitch: hertz, output.language: [en, de]}}}
failure_modes:
  length: {what: x, stage: hear, signal: {drift: input.length}, window: 15m, for: 1m}
  pitch: {what: x, stage: hear, signal: {drift: ks of input.pitch}, above: 0.6, window: 15m, for: 1m}
  world: {what: x, stage: hear, signal: features_moved, for: 1m}
  language: {what: x, stage: hear, signal: {drift: js of output.language}, window: 15m, for: 1m}
"""
BASELINE = """\
{"pipeline": "shop", "from": 0, "to": 1, "features": {
  "hear.input.length": {"mean": 3.0, "sd": 2.0, "count": 9000, "bounds": [1.0, 2.0], "shares": [0.3, 0.3, 0.4]},
  "hear.input.pitch": {"mean": 3.0, "sd": 2.0, "count": 9000, "bounds": [1.0, 2.0], "shares": [0.3, 0.3, 0.4]},
  "hear.output.language": {"count": 9000, "categories": {"en": 0.6, "de": 0.4}}}}
"""


def counted(feature: str, direction: str, rises: tuple[int, ...]) -> dict[str, str]:
    place = f'pipeline="shop",stage="hear",version="1",direction="{direction}",feature="{feature}"'
    numbers = feature != "language"
    found = {f'pipemon_feature_info{{{place},unit="",bins="{fingerprint([1.0, 2.0]) if numbers else ""}"}}': "1x60"}
    if numbers:
        bins = zip(("1.0", "2.0", "+Inf"), accumulate(rises), strict=True)
        series = {f'pipemon_feature_value_bucket{{{place},track="stable",le="{bound}"}}': n for bound, n in bins}
    else:
        named = zip(("en", "de"), rises, strict=True)
        series = {f'pipemon_feature_category_total{{{place},track="stable",category="{name}"}}': n for name, n in named}
    return found | {name: f"0+{rise}x60" for name, rise in series.items()}


def test_an_alert_names_what_moved_with_it_below_its_threshold_or_not(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(SPEC)
    (tmp_path / "shop.baseline.json").write_text(BASELINE)
    series = counted("length", "input", (60, 20, 20)) | counted("pitch", "input", (40, 30, 30))
    series |= counted("language", "output", (60, 40))
    moved = "pipeline_stage_direction_feature:pipemon_feature_moved:max15m"
    place = 'pipeline="shop", stage="hear"'
    expected = [
        Expect("30m", "sum by (pipeline, stage) (pipeline_stage:pipemon_features_moved:sum15m)", {f"{{{place}}}": 2}),
        Expect(
            "30m",
            f"max by (feature) ({moved})",
            {'{feature="length"}': 1, '{feature="pitch"}': 1, '{feature="language"}': 0},
        ),
        Expect(
            "30m",
            'count by (alertname) (ALERTS{alertstate="firing"})',
            {'{alertname="ShopLength"}': 1, '{alertname="ShopWorld"}': 1},
        ),
    ]
    check(rules_of(tmp_path / "shop.yaml"), series, expected, tmp_path, "60s")
    assert "Moved at hear, {{ len . }} in all:" in rules_of(tmp_path / "shop.yaml")


def test_more_features_than_any_threshold_counts_as_many_as_are_watched_over_its_window(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(SPEC)
    (tmp_path / "shop.baseline.json").write_text(BASELINE)
    world = next(mode for mode in load(tmp_path / "shop.yaml").failure_modes if mode.name == "world")
    assert world.window == 15 * 60.0, "that of the features that it counts, as it says no other"
    assert failing_modes(rules(plan(load(tmp_path / "shop.yaml")).spec), tmp_path) == {}


def test_it_waits_for_the_baselines_of_what_it_counts(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(SPEC)
    waiting = {mode.name: mode.waiting for mode in load(tmp_path / "shop.yaml").failure_modes}
    assert waiting["world"] == "not yet measurable: waits for a baseline of the features that it counts"


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ("signal: features_moved, above: 3", "over 15m there are 3 features of 'hear' watched for drift"),
        ("signal: features_moved, window: 6h", "over 6h there are no features of 'hear' watched for drift"),
    ],
)
def test_what_could_never_fire_is_refused(tmp_path: Path, changed: str, why: str) -> None:
    (tmp_path / "shop.yaml").write_text(SPEC.replace("signal: features_moved", changed))
    (tmp_path / "shop.baseline.json").write_text(BASELINE)
    with pytest.raises(SpecError, match=why):
        load(tmp_path / "shop.yaml")


def test_its_alert_names_them(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(SPEC)
    (tmp_path / "shop.baseline.json").write_text(BASELINE)
    (world,) = [alert for alert in rules(plan(load(tmp_path / "shop.yaml")).spec).alerts if alert.name == "ShopWorld"]
    assert world.annotations["features_moved"].endswith(
        "in all:{{ range $index, $moved := . }}{{ if $index }},"
        "{{ end }} {{ .Labels.direction }}.{{ .Labels.feature }}{{ end }}.{{ end }}"
    )
    assert world.annotations["description"] == (
        'Drifted features of hear: {{ $value | printf "%.4g" }} over 15m, above 1.'
    )
