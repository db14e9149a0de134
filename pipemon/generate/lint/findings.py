"""What linters of rules and routes say of the generated files: the parts of pint, mixtool, promruval and amlint
that need no server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from pipemon.generate.alertmanager import alertmanager_file
from pipemon.generate.inhibition import Plan
from pipemon.generate.lint.routes import route_findings
from pipemon.generate.lint.rules import rule_findings
from pipemon.generate.lint.targets import PROMETHEUS
from pipemon.generate.rules import rule_file, rules


@dataclass(frozen=True)
class Finding:
    """What a check found: its name, the rule or route, and one sentence."""

    check: str
    where: str
    words: str

    def __str__(self) -> str:
        """Return it as a line: `SpeechSlow: a for of 5s is under two evaluations [alerts/for]`."""
        return f"{self.where}: {self.words} [{self.check}]"


def lint(plans: Sequence[Plan], versions: tuple[str, ...] = PROMETHEUS) -> Iterator[Finding]:
    """Yield what is wrong with the files of all plans, but for checks that their specs switch off.

    `versions` are those of Prometheus that the rules must work in.
    """
    off = [{name for name, _ in one.spec.checks_off} for one in plans]
    made = [rules(one.spec) for one in plans]
    for one, unwanted in zip(made, off, strict=True):
        spec = one.spec
        groups = _read(rule_file(one))["groups"]
        words = tuple(word for _, word in spec.severity_words)
        kept = (*spec.keep, "pipeline")
        pipeline = dict(spec.labels).get("pipeline", "pipeline")
        for found in rule_findings(groups, words, spec.timing.scrape_interval, versions, kept, pipeline):
            if found[0] not in unwanted:
                yield Finding(*found)
    alerts = [
        {"alertname": alert.name, "pipeline": one.spec.pipeline, **alert.labels} for one in made for alert in one.alerts
    ]
    # The routes are of all pipelines: one that all switch off is off.
    everywhere = set.intersection(*off) if off else set()
    for found in route_findings(_read(alertmanager_file(plans, "http://127.0.0.1:9465/alerts")), alerts):
        if found[0] not in everywhere:
            yield Finding(*found)


def _read(text: str) -> Any:
    """Return what a generated file says: read by libyaml, which is ten times as fast, where PyYAML has it."""
    return yaml.load(text, Loader=yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader)
