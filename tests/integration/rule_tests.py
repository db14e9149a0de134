"""promtool tests as Python values: series that are scraped, and what the rules must make of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from real_servers import tool
from rule_subsets import DUMPER

from pipemon.generate.inhibition import plan
from pipemon.generate.rules import rule_file, rules
from pipemon.spec.load import load


@dataclass(frozen=True)
class Expect:
    """At a time, an expression gives these values by the labels of their series, and no other series."""

    at: str
    expr: str
    values: Mapping[str, float]


def rules_of(spec: Path) -> str:
    """Return the generated rules of a failure-mode file."""
    return rule_file(rules(plan(load(spec)).spec))


def check(
    rules: str,
    series: Mapping[str, str],
    expected: list[Expect],
    folder: Path,
    interval: str = "15s",
    evaluation: str = "",
) -> None:
    """Scrape `series`, each in promtool's notation, every `interval`; the rules must then do what is expected.

    They are evaluated as often, or every `evaluation`.
    """
    test = {
        "interval": interval,
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": each.expr,
                "eval_time": each.at,
                "exp_samples": [{"labels": labels, "value": value} for labels, value in each.values.items()],
            }
            for each in expected
        ],
    }
    document = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": evaluation or interval,
        "tests": [test],
    }
    (folder / "rules.yml").write_text(rules)
    (folder / "tests.yml").write_text(yaml.dump(document, Dumper=DUMPER, sort_keys=False, width=1_000_000))
    tool("promtool", "test", "rules", "tests.yml", cwd=folder)


def fired(at: str, over: str, *alerts: str) -> Expect:
    """Expect that, in the `over` before a time, exactly these alerts have fired."""
    expr = f'count by (alertname) (max_over_time(ALERTS{{alertstate="firing"}}[{over}]))'
    return Expect(at, expr, {f'{{alertname="{alert}"}}': 1 for alert in alerts})
