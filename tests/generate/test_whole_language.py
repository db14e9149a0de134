"""The page that shows the whole language makes rules that do what their tests say, judged by promtool."""

from __future__ import annotations

from pathlib import Path

import pytest
from rule_subsets import failing_modes

from pipemon.generate.rules import rules
from pipemon.spec.load import load

PAGE = Path(__file__).parents[1] / "spec" / "ok" / "design.yaml"


@pytest.mark.integration
def test_each_failure_mode_fires_stays_quiet_and_resolves(tmp_path: Path) -> None:
    spec = load(PAGE)
    assert [mode.name for mode in spec.failure_modes if mode.waiting] == ["nobody-knows-how-to-measure-this"]
    assert failing_modes(rules(spec), tmp_path) == {}


MORE = """\
pipeline: fraud
stages:
  decide: {features: {input.level: dB, output.decision: ['yes', 'no']}}
  embed:
    calls: [embed_ok_total, embed_bad_total]
    failures: embed_bad_total
    duration: {histogram: embed_us, bounds: [50ms, 100ms, 1s]}
failure_modes:
  more-declined:
    what: Of what a share is compared with, a floor, and what is counted by category
    stage: decide
    signals: {all: [{share: output.decision=no, above: 2x yesterday}, {share: output.decision=no, above: 1%}]}
  more-fail:
    what: The same of a service that is not decorated
    stage: embed
    signals: {all: [{signal: error_ratio, above: 3x yesterday}, {signal: error_ratio, above: 1%}]}
  between-bounds:
    what: A quantile between bounds that are in another unit, over two thresholds
    stage: embed
    signals: {any: [{latency: p95, above: 2x yesterday}, {latency: p95, above: 80ms}]}
  two-between-bounds:
    what: Two quantiles between bounds that are in another unit, and failures that are among the calls
    stage: embed
    signals: {any: [{latency: p50, above: 60ms}, {latency: p95, above: 80ms}, {signal: error_ratio, above: 80%}]}
  crowded-or-full-or-silent:
    what: What is told where nobody calls, too
    stage: decide
    signals: {any: [{signal: in_progress, above: 64}, {signal: memory, above: 4 GiB}, no_calls]}
  old-and-failing:
    what: A share of the calls beside an old version of which there are hardly any
    stage: decide
    signals: {all: [{signal: age, above: 2d}, {signal: error_ratio, above: 20%}]}
  three-times-as-slow:
    what: A quantile beside one that is far lower
    stage: decide
    signal: {latency: p50}
    above: 3x yesterday
  level-above-nothing:
    what: A quantile whose threshold is no scale
    stage: decide
    signal: {quantile: p75 of input.level}
    above: 0
  at-once-and-crowded:
    what: What is compared with the hour before holds together with what is not
    stage: decide
    signals: {all: [{share: output.decision=no, above: 2x last hour}, {signal: in_progress, above: 64}]}
  half-a-day:
    what: As long a window as is told from yesterday
    stage: decide
    signal: error_ratio
    above: 2x yesterday
    window: 12h
  busier:
    what: Calls a second beside those of the hour before, which is not all there at first
    stage: decide
    signal: throughput
    above: 2x last hour
"""


@pytest.mark.integration
def test_so_does_what_the_page_does_not_show(tmp_path: Path) -> None:
    (tmp_path / "fraud.yaml").write_text(MORE)
    assert failing_modes(rules(load(tmp_path / "fraud.yaml")), tmp_path) == {}
