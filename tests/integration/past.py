"""A past with faults in it: as blocks of a Prometheus, and as input of promtool's rule engine."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import yaml
from real_servers import tool

from pipemon.backtest.firing import Firing
from pipemon.backtest.replay import Evaluation, Replayed
from pipemon.units import duration

BEGIN = 1_699_999_200
"""A time in whole hours, so that promtool's clock, which begins at 0, evaluates at the same times."""
STEP = 15

Values = Mapping[str, list[float | None]]
"""By each series its value at each step, None where it was not scraped."""

SPEC = """\
pipeline: past
owner: team
stages:
  hear: {budget: 50ms, features: {input.level: dBFS}}
  write: {after: hear, budget: 300ms}
failure_modes:
  hears-nothing: {what: no speech, stage: hear, signal: null_ratio, above: 10%, severity: page, leads_to: [repeats]}
  quiet: {what: the microphone is too far away, stage: hear, signal: {mean: input.level}, below: -40, for: 1m}
  slow: {what: it takes too long, stage: write, signal: {latency: p95}, above: budget, for: 3m}
  fails: {what: it raises, stage: write, signal: error_ratio, above: 5%, keep_firing_for: 4m, severity: page}
  writes-nothing: {what: no text comes out, stage: write, signal: null_ratio, above: 10%, severity: ticket}
  repeats: {what: people ask again, stage: write, signal: {feedback: redo}, above: 15%, for: 2m}
  silent: {what: nobody calls it, stage: write, signal: no_calls}
  crowd: {what: calls pile up, stage: write, signal: in_progress, above: 8}
  wears-off: {what: ever less speech is found, stage: hear, signal: null_ratio, above: 5%, window: 1h, for: 5m}
  adds-up: {what: more silence than there was, stage: hear, signal: {cusum: null_ratio}, above: 2%}
  never: {what: it never happens, stage: hear, signal: error_ratio, above: 50%}
"""


class _Replica:
    """One process: its counters rise at random; it restarts now and then, and is gone for a while."""

    def __init__(self, name: str, share: float, chance: random.Random) -> None:
        self.name, self.share, self.chance = name, share, chance
        self.counts: dict[str, float] = {}

    def add(self, series: str, of: int, ratio: float) -> int:
        count = sum(self.chance.random() < ratio for _ in range(of))
        self.counts[series] = self.counts.get(series, 0.0) + count
        return count


def past(hours: float, seed: int = 1) -> Values:
    """Return what two replicas exported in some hours; every failure mode but `never` comes and goes."""
    chance = random.Random(seed)
    steps = round(hours * 3600 / STEP) + 1
    replicas = [_Replica("a", 0.6, chance), _Replica("b", 0.4, chance)]
    faults = _faults(steps, chance)
    found: dict[str, list[float | None]] = {}
    for step in range(steps):
        now = {name: size for name, begin, end, size in faults if begin <= step < end}
        for replica in replicas:
            if replica.name == "b" and "restart" in now:
                replica.counts.clear()
            else:
                _scrape(replica, now)
                for series, value in replica.counts.items():
                    found.setdefault(series, [None] * steps)[step] = value
    return found


_LEAST = {"nulls": 0.2, "quiet": 12.0, "slow": 0.1, "errors": 0.1, "silence": 1.0, "crowd": 6.0, "wear": 0.08}


def _faults(steps: int, chance: random.Random) -> list[tuple[str, int, int, float]]:
    """Return episodes of each kind, one after another, from right at the threshold to far beyond it."""
    found: list[tuple[str, int, int, float]] = []
    at, kinds = 30, [*_LEAST, "restart"]
    while at < steps - 30:
        kind = kinds[len(found) % len(kinds)]
        length = chance.randint(8, 60) if kind != "restart" else chance.randint(2, 30)
        length = length * 3 if kind == "wear" else length + 24 if kind == "silence" else length
        found.append((kind, at, at + length, _LEAST.get(kind, 1.0) * chance.uniform(0.6, 2.0)))
        at += length + chance.randint(-10, 30)
    return found


def _scrape(replica: _Replica, now: Mapping[str, float]) -> None:
    place = f'pipeline="past",version="1",track="stable",instance="{replica.name}"'
    hear, write = f'{place},stage="hear"', f'{place},stage="write"'
    calls = 0 if "silence" in now else round(30 * replica.share)
    nulls = replica.add(
        f"pipemon_stage_null_outputs_total{{{hear}}}", calls, now.get("nulls", 0) + now.get("wear", 0.01)
    )
    for stage in (hear, write):
        replica.add(f"pipemon_stage_calls_total{{{stage}}}", calls, 1.0)
        replica.add(f"pipemon_stage_skipped_total{{{stage}}}", calls, 0.0)
    replica.add(f"pipemon_stage_failures_total{{{hear}}}", calls, 0.0)
    replica.add(f"pipemon_stage_failures_total{{{write}}}", calls, now.get("errors", 0.005))
    empty = f"pipemon_stage_null_outputs_total{{{write}}}"
    replica.counts[empty] = replica.counts.get(empty, 0.0) + nulls
    replica.add(f'pipemon_feedback_total{{{write},signal="redo",slice=""}}', calls, now.get("nulls", 0.02))
    bucket = f"pipemon_stage_duration_seconds_bucket{{{write}"
    replica.add(f'{bucket},le="0.3"}}', calls, 1 - now.get("slow", 0.01))
    replica.add(f'{bucket},le="+Inf"}}', calls, 1.0)
    replica.add(f"pipemon_stage_duration_seconds_count{{{write}}}", calls, 1.0)
    level = f'{hear},direction="input",feature="level"'
    replica.add(f'pipemon_feature_value_bucket{{{level},le="+Inf"}}', calls, 1.0)
    replica.add(f'pipemon_feature_sum_total{{{level},sign="positive"}}', calls, 0.0)
    loud = f'pipemon_feature_sum_total{{{level},sign="negative"}}'
    replica.counts[loud] = replica.counts.get(loud, 0.0) + calls * (30 + now.get("quiet", 0.0) + replica.chance.gauss())
    replica.counts[f"pipemon_stage_in_progress{{{write}}}"] = round(2 + now.get("crowd", 0.0) * replica.share)


def openmetrics(values: Values) -> str:
    """Return what `promtool tsdb create-blocks-from openmetrics` reads."""
    lines = [
        f"{series} {value!r} {BEGIN + step * STEP}"
        for series, each in values.items()
        for step, value in enumerate(each)
        if value is not None
    ]
    return "\n".join([*lines, "# EOF", ""])


def blocks(values: Values, folder: Path) -> None:
    """Write a past as blocks into the folder of a Prometheus' data."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "past.txt").write_text(openmetrics(values))
    tool("promtool", "tsdb", "create-blocks-from", "openmetrics", "--quiet", str(folder / "past.txt"), str(folder))


def engine_agrees(rules: str, values: Values, found: Replayed, every: Iterable[Evaluation], folder: Path) -> None:
    """Let the real rule engine evaluate the past; it must fire in exactly the evaluations that are said, and no other.

    Fails with promtool's own words.
    """
    input_series = [
        {"series": series, "values": " ".join("_" if value is None else repr(value) for value in each)}
        for series, each in values.items()
    ]
    checks: dict[float, list[dict[str, object]]] = {}
    for each in every:
        fired = found.fired[each.alert.mode.name]
        checks.setdefault(each.step, []).extend(_expected(each, fired, found.period.end - BEGIN))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rules.yml").write_text(rules)
    for step, expected in checks.items():
        # promtool evaluates all groups alike, whatever their interval.
        test = {"interval": f"{STEP}s", "input_series": input_series, "promql_expr_test": expected}
        document = {"rule_files": ["rules.yml"], "evaluation_interval": duration(step), "tests": [test]}
        (folder / "tests.yml").write_text(yaml.dump(document, Dumper=yaml.CSafeDumper, sort_keys=False, width=10**9))
        tool("promtool", "test", "rules", "tests.yml", cwd=folder, patience=1800)


def _expected(each: Evaluation, fired: Iterable[Firing], end: float) -> Iterator[dict[str, object]]:
    """Yield that the alert fires from each start to before each end, and in how many evaluations in all."""
    firing, total = f'ALERTS{{alertname="{each.alert.name}",alertstate="firing"}}', 0

    def expect(at: float, expr: str, value: float | None) -> dict[str, object]:
        samples = [] if value is None else [{"labels": "{}", "value": value}]
        return {"expr": expr, "eval_time": duration(at), "exp_samples": samples}

    for one in fired:
        start, until = one.start - BEGIN, end + each.step if one.end is None else one.end - BEGIN
        total += round((until - start) / each.step)
        yield expect(start - each.step, f"sum({firing})", None)
        yield expect(start, f"sum({firing})", 1)
        yield expect(until - each.step, f"sum({firing})", 1)
        if one.end is not None:
            yield expect(until, f"sum({firing})", None)
    yield expect(end, f"sum(count_over_time({firing}[{duration(end + 1)}]))", total or None)
