"""What rules make of series, by the real rule engine: promtool is asked for what it does not expect, and tells."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import yaml

from pipemon.demo.programs import default_cache, program
from pipemon.generate.promql import block
from pipemon.generate.recordings import Recording, in_order

_SAMPLE = re.compile(r"(?P<labels>[^\s{}]*\{[^}]*\}) (?P<value>[-+.\w]+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Sample(NamedTuple):
    """One series of an answer."""

    labels: Mapping[str, str]
    value: float


def answers(
    rules: Iterable[Recording],
    series: Sequence[Mapping[str, str]],
    interval: str,
    evaluations: str,
    asked: Sequence[tuple[str, str]],
) -> list[list[Sample]]:
    """Return what is `asked`, each an expression at a time, by recording rules and all that they are made of.

    `series` are scraped every `interval`, rules evaluated every `evaluations`. promtool loads 10,000 samples a
    query at most. Raises RuntimeError with its words where it fails otherwise.
    """
    needed = {(each.name, each.static): each for wanted in rules for each in in_order(wanted)}
    made = [
        {"record": each.name, "expr": block(each.expr)} | ({"labels": dict(each.static)} if each.static else {})
        for each in needed.values()
    ]
    return answers_by({"groups": [{"name": "rules", "rules": made}]}, series, interval, evaluations, asked)


def answers_by(
    rules: Mapping[str, object],
    series: Sequence[Mapping[str, str]],
    interval: str,
    evaluations: str,
    asked: Sequence[tuple[str, str]],
) -> list[list[Sample]]:
    """Return the same by the content of a rule file."""
    # No rule gives this series: promtool then prints what there is.
    never = [{"labels": 'nothing{of="the kind"}', "value": 1}]
    exprs = [{"expr": each, "eval_time": at, "exp_samples": never} for at, each in asked]
    test = {"interval": interval, "input_series": list(series), "promql_expr_test": exprs}
    document = {"rule_files": ["rules.yml"], "evaluation_interval": evaluations, "tests": [test]}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
        (folder / "rules.yml").write_text(yaml.dump(rules, Dumper=dumper))
        (folder / "tests.yml").write_text(yaml.dump(document, Dumper=dumper))
        command = [str(program(["promtool"], "prometheus", default_cache())), "test", "rules", "tests.yml"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    found = re.findall(r"^ +got: ?(.*)$", done.stdout + done.stderr, re.MULTILINE)
    if len(found) != len(asked):
        raise RuntimeError(done.stdout + done.stderr)
    return [
        [Sample(dict(_LABEL.findall(one["labels"])), float(one["value"])) for one in _SAMPLE.finditer(answer)]
        for answer in found
    ]
