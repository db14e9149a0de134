"""What is worked out in blocks is what would have been worked out one evaluation after another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipemon.backtest.memory import Lately
from pipemon.backtest.replay import evaluations
from pipemon.generate.inhibition import plan
from pipemon.generate.rules import rules
from pipemon.spec.load import load

SPECS = Path(__file__).parents[1] / "generate"


@pytest.mark.parametrize("name", ["every_signal", "shifting", "drifting", "stepping", "undecorated"])
def test_no_failure_mode_is_left_that_its_exported_series_do_not_tell(name: str) -> None:
    found = evaluations(rules(plan(load(SPECS / f"{name}.yaml")).spec))
    worked_out = [each for each in found if each.past is not None]
    assert worked_out
    assert [each.alert.name for each in worked_out if each.past and not each.past.can_tell(each.expr)] == []


@pytest.mark.parametrize("length", [1, 4, 100])
def test_an_alert_is_there_while_pending_firing_and_kept_firing_whatever_the_blocks(length: int) -> None:
    made = rules(plan(load(SPECS / "every_signal.yaml")).spec)
    alert = next(each for each in made.alerts if each.mode.for_ and each.mode.keep_firing_for)
    step = alert.mode.for_ / 2
    keeps = round(alert.mode.keep_firing_for / step)
    # What was pending only is not kept; what fired is, and goes on where it holds again by then.
    holds = [0, 1, 0, 1, 1, 1, *[0] * (keeps - 1), 1, *[0] * (keeps + 2)]
    there = [0, 1, 0, 1, 1, 1, *[1] * (keeps - 1), 1, *[1] * keeps, 0, 0]
    times = step * np.arange(len(holds), dtype=float)
    held = np.where(np.array(holds) > 0, 1.0, np.nan)
    lately, seen = Lately(alert, step), list[bool]()
    while len(seen) < len(times):
        begin = len(seen)
        block = slice(begin, begin + length)
        told = lately.there(times[block], step, 0.0).get((), np.array([np.nan]))
        count = lately.right({(): held[block]}, times[block])
        seen += (~np.isnan(np.broadcast_to(told, times[block].shape)))[:count].tolist()
        lately.go_on({(): held[begin : begin + count]}, times[begin : begin + count])
    # Rules see what was there an evaluation before.
    assert seen == [False, *map(bool, there[:-1])]
