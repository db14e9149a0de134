"""What a backtest says of drift that never fired: whether it could have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipemon.backtest.history import Known, Period
from pipemon.backtest.replay import Replayed
from pipemon.backtest.report import report
from pipemon.generate.inhibition import plan
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


@pytest.mark.parametrize(
    ("judged", "said"),
    [
        (10 * DAY, "never"),
        (2 * DAY, "never, and there were values enough for a verdict for 2d of it only"),
        (0.0, "never, and it could not: too few values for a verdict in any window, or other bins than the baseline's"),
    ],
)
def test_silence_is_told_from_not_knowing(judged: float, said: str, tmp_path: Path) -> None:
    learned = {"pipeline": "shop", "from": 0, "to": 1, "features": {"till.input.price": ENTRY}}
    (tmp_path / "shop.baseline.json").write_text(json.dumps(learned))
    (tmp_path / "shop.yaml").write_text(SPEC)
    period = Period(0.0, 10 * DAY)
    there = Known(0.0, 10 * DAY, None)
    found = Replayed(plan(load(tmp_path / "shop.yaml")), period, there, {"dearer": ()}, {}, {}, {}, {"dearer": judged})
    assert list(report(found))[1:] == [f"  dearer (ticket): {said}"]
