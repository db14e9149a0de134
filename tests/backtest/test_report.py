"""What a backtest says of drift that never fired, whether it could have, and what it asks for to tell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipemon.backtest.history import Known, Period
from pipemon.backtest.replay import Replayed, evaluations
from pipemon.backtest.report import report
from pipemon.generate.inhibition import plan
from pipemon.generate.promql import text
from pipemon.generate.rules import rules
from pipemon.spec.load import load

DAY = 86_400.0
SPEC = """\
pipeline: shop
owner: team
baseline: shop.baseline.json
stages: {till: {features: {input.price: count}}}
failure_modes: {dearer: {what: x, stage: till, signal: {drift: input.price}}}
"""
ENTRY = {"mean": 3.0, "sd": 2.0, "count": 9000, "bounds": [1.0, 2.0], "shares": [0.3, 0.3, 0.4]}


def spec_of(folder: Path) -> Path:
    learned = {"pipeline": "shop", "from": 0, "to": 1, "features": {"till.input.price": ENTRY}}
    (folder / "shop.baseline.json").write_text(json.dumps(learned))
    (folder / "shop.yaml").write_text(SPEC)
    return folder / "shop.yaml"


@pytest.mark.parametrize(
    ("judged", "said"),
    [
        (10 * DAY, "never"),
        (2 * DAY, "never, and there were values enough for a verdict for 2d of it only"),
        (0.0, "never, and it could not: too few values for a verdict in any window, or other bins than the baseline's"),
    ],
)
def test_silence_is_told_from_not_knowing(judged: float, said: str, tmp_path: Path) -> None:
    spec = load(spec_of(tmp_path))
    period = Period(0.0, 10 * DAY)
    there = Known(0.0, 10 * DAY, None)
    found = Replayed(plan(spec), period, there, {"dearer": ()}, {}, {"dearer": judged})
    assert list(report(found))[1:] == [f"  dearer (ticket): {said}"]


@pytest.mark.parametrize(
    ("since", "length", "said"),
    [
        (0.0, 5 * DAY, "samples are there for 5d"),
        (2 * DAY, 5 * DAY, "samples begin at 1970-01-03T00:00:00Z and are there for 5d"),
    ],
)
def test_samples_that_are_not_there_all_the_time_are_told(
    since: float, length: float, said: str, tmp_path: Path
) -> None:
    found = Replayed(plan(load(spec_of(tmp_path))), Period(0.0, 10 * DAY), Known(since, length, None), {}, {}, {})
    assert f"  {said}: what is said by week is of that time" in list(report(found))


def test_drift_is_worked_out_where_no_bin_of_the_baseline_is_rare(tmp_path: Path) -> None:
    (every,) = evaluations(rules(load(spec_of(tmp_path))))
    assert every.past is not None
    asked = (text(each).partition("(pipemon_")[2].partition("{")[0] for each in every.past.asked([every.expr]))
    assert sorted(asked) == ["feature_info", "feature_value_bucket"]
