"""A backtest of 24 hours beside the real rule engine: `python -m benchmarks.backtesting [--hours 24]`.

The same past, with every kind of fault, is given to a Prometheus as blocks and to promtool as the input of a rule test.
promtool evaluates the generated rules at every step; its alerts must fire in exactly the evaluations in which the
backtest says so. Ends with an error where they do not.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from pipemon.backtest.history import Period
from pipemon.backtest.replay import evaluations, replay
from pipemon.generate.inhibition import plan
from pipemon.generate.rules import rule_file, rules
from pipemon.spec.load import load

TESTS = Path(__file__).parents[1] / "tests" / "integration"


def main() -> None:
    """Compare, and print how many firings there were and how long the backtest took."""
    sys.path.insert(0, str(TESTS))
    from past import BEGIN, SPEC, blocks, engine_agrees, past  # noqa: PLC0415
    from real_servers import running_prometheus  # noqa: PLC0415

    parser = argparse.ArgumentParser(prog="python -m benchmarks.backtesting", description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--seed", type=int, default=1)
    told = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "past.yaml").write_text(SPEC)
        values = past(told.hours, told.seed)
        blocks(values, folder / "prometheus" / "data")
        made = plan(load(folder / "past.yaml"))
        every = evaluations(rules(made.spec))
        period = Period(BEGIN, BEGIN + told.hours * 3600)
        with running_prometheus("{}", folder / "prometheus") as prometheus:
            began = time.perf_counter()
            found = replay(made, prometheus, period, every, lambda: None)
            took = time.perf_counter() - began
        engine_agrees(rule_file(rules(made.spec)), values, found, every, folder / "engine")
    count = sum(map(len, found.fired.values()))
    steps = sum(round((period.end - period.start) / each.step) + 1 for each in every)
    print(f"{told.hours:g} h, {len(values)} series, {len(every)} failure modes, {steps:,} evaluations:")
    print(f"{count} firings, each from and to the very evaluation of the rule engine; the backtest took {took:.1f} s")


if __name__ == "__main__":
    main()
