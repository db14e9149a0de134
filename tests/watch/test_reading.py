"""From what a process exports to numbers, the broken stage, and the failure modes that would fire."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from math import inf, isnan
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

import pipemon
from pipemon.prometheus import Sample
from pipemon.spec.load import load
from pipemon.spec.model import Spec
from pipemon.topology import StageShape
from pipemon.watch import sources
from pipemon.watch.judge import untold, would_fire
from pipemon.watch.reading import COUNTERS, GAUGES, Alert, Key, Reading, increases, summed
from pipemon.watch.sources import Page
from pipemon.watch.state import pipelines_of, state

SPEC = """\
pipeline: chain
owner: team
budget: 1s
stages:
  hear: {budget: 100ms, features: {output.level: dBFS}}
  tell: {after: hear}
failure_modes:
"""


class Chain:
    """A real pipeline of two stages; each call says what becomes of it."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        chain = pipemon.Pipeline("chain", version="1", budget="1s", registry=self.registry)
        level = pipemon.Feature("level", lambda out: out, unit="dBFS")

        @chain.stage("hear", output=level, budget="100ms")
        def hear(value: Any) -> Any:
            if value == "raise":
                raise ValueError
            return value

        @chain.stage("tell", after="hear")
        def tell(value: Any) -> Any:
            return value

        @chain.run
        def answer(value: Any) -> Any:
            return tell(hear(value))

        self.pipeline, self.answer = chain, answer

    def calls(self, *values: Any) -> None:
        for value in values:
            with suppress(ValueError):
                self.answer(value)

    def samples(self) -> list[Sample]:
        families = text_string_to_metric_families(generate_latest(self.registry).decode())
        return [Sample({"__name__": s.name, **s.labels}, s.value) for family in families for s in family.samples]

    def reading(self, seconds: float = 60.0) -> Reading:
        """All that was called so far, as if within that many seconds."""
        samples = self.samples()
        return Reading(0.0, seconds, summed(samples, COUNTERS), summed(samples, GAUGES), samples=tuple(samples))


@pytest.fixture
def chain() -> Chain:
    found = Chain()
    found.calls(*[-40.0] * 20)
    return found


def spec(folder: Path, mode: str, head: str = SPEC) -> Spec:
    (folder / "chain.yaml").write_text(f"{head}  it: {{what: It breaks, {mode}}}\n")
    return load(folder / "chain.yaml")


def test_every_series_that_is_read_is_exported(chain: Chain) -> None:
    names = {key[0] for key in (*chain.reading().increases, *chain.reading().gauges)}
    assert names == {*COUNTERS, *GAUGES}


def test_the_numbers_are_those_of_the_calls(chain: Chain) -> None:
    chain.calls("raise", None, None)
    reading = chain.reading()
    assert pipelines_of(reading) == ("chain",)
    seen = state(reading, "chain", ())
    hear, tell = seen.stages
    assert (hear.name, hear.depth, tell.name, tell.depth, tell.after) == ("hear", 0, "tell", 1, ("hear",))
    assert hear.numbers.per_second == pytest.approx(23 / 60)
    assert hear.numbers.error_ratio == pytest.approx(1 / 23)
    assert hear.numbers.null_ratio == pytest.approx(2 / 23)
    assert (hear.numbers.budget, tell.numbers.budget, seen.runs.budget) == (0.1, None, 1.0)
    assert (hear.means[0].feature, hear.means[0].unit) == ("level", "dBFS")
    assert hear.means[0].value == pytest.approx(-40)
    assert 0 < hear.numbers.p50 <= hear.numbers.p99 < 0.1
    assert seen.runs.error_ratio == pytest.approx(1 / 23)


def test_a_feature_is_told_once_though_two_versions_have_it_and_with_its_direction_where_both_have() -> None:
    samples = []
    for direction, feature, version, value in (
        ("input", "words", "1", 3.0), ("output", "level", "1", 1.0),
        ("output", "words", "1", 5.0), ("output", "words", "2", 7.0),
    ):  # fmt: skip
        labels = {"pipeline": "p", "stage": "s", "version": version, "track": "stable", "direction": direction}
        labels |= {"feature": feature}
        for name, further, number in (
            ("pipemon_feature_info", {"unit": feature, "bins": version}, 1.0),
            ("pipemon_feature_sum_total", {"sign": "positive"}, value),
            ("pipemon_feature_value_bucket", {"le": "+Inf"}, 1.0),
            ("pipemon_stage_calls_total", {}, 1.0),
        ):
            samples.append(Sample({"__name__": name, **labels, **further}, number))
    (only,) = state(Reading(0, 1, summed(samples, COUNTERS), summed(samples, GAUGES)), "p", ()).stages
    assert [(mean.feature, mean.value) for mean in only.means] == [
        ("input words", 3.0),
        ("level", 1.0),
        ("output words", 6.0),
    ]


def test_what_a_prometheus_had_is_gone_where_nothing_is_new_and_what_it_should_have_is_too(chain: Chain) -> None:
    nothing = Reading(0, 60, {}, {}, (), seen=frozenset({("chain", "hear")}))
    assert pipelines_of(nothing) == ("chain",)
    assert [(stage.name, stage.gone) for stage in state(nothing, "chain", ()).stages] == [("hear", True)]
    declared = (StageShape("hear"), StageShape("tell", after=("hear",)))
    assert [stage.name for stage in state(nothing, "chain", (), declared).stages] == ["hear", "tell"]
    assert not any(stage.gone for stage in state(chain.reading(), "chain", ()).stages)
    alert = Alert("chain", "", "nobody-calls", "critical", "firing")
    assert pipelines_of(Reading(0, 60, {}, {}, (alert,), seen=frozenset())) == ("chain",)


def test_shadow_calls_do_not_count() -> None:
    labels = {"pipeline": "p", "stage": "s", "version": "1"}
    samples = [
        Sample({"__name__": "pipemon_stage_calls_total", **labels, "track": track}, count)
        for track, count in (("stable", 3.0), ("canary", 2.0), ("shadow", 100.0))
    ]
    assert Reading(0, 1, summed(samples, COUNTERS), {}).total("pipemon_stage_calls_total") == 5


def test_a_counter_that_began_again_went_from_zero() -> None:
    old, new, gone = (("a",), ("b",), ("c",))
    assert increases({old: 10.0, gone: 1.0}, {old: 4.0, new: 2.0}) == {old: 4.0, new: 2.0}
    assert increases({old: 10.0}, {old: 14.0}) == {old: 4.0}


def test_a_quantile_is_linear_in_its_bucket_and_infinite_in_the_last() -> None:
    def reading(*counts: float) -> Reading:
        name = "pipemon_pipeline_duration_seconds_bucket"
        found: dict[Key, float] = {
            (name, "p", "1", le): count for le, count in zip(("0.1", "0.2", "+Inf"), counts, strict=True)
        }
        return Reading(0, 1, found, {})

    def p(quantile: float, *counts: float) -> float:
        return reading(*counts).quantile("pipemon_pipeline_duration_seconds_bucket", quantile)

    assert p(0.5, 10, 10, 10) == pytest.approx(0.05)
    assert p(0.5, 0, 10, 10) == pytest.approx(0.15)
    assert p(0.75, 5, 10, 10) == pytest.approx(0.15)
    assert p(0.99, 5, 10, 11) == inf
    assert isnan(p(0.5, 0, 0, 0))


def test_the_broken_stage_is_the_first_that_an_alert_is_of(chain: Chain) -> None:
    def alert(stage: str, state: Any = "firing") -> Alert:
        return Alert("chain", stage, "it", "critical", state)

    def broken(*alerts: Alert) -> list[str]:
        return [stage.name for stage in state(chain.reading(), "chain", alerts).stages if stage.broken]

    assert broken() == []
    assert broken(alert("tell"), alert("hear")) == ["hear"]
    assert broken(alert("tell"), alert("hear", "pending")) == ["tell"]
    assert broken(alert("")) == []


def test_where_nobody_evaluates_alerts_a_stage_that_is_far_off_is_the_broken_one(chain: Chain) -> None:
    def broken() -> list[str]:
        return [stage.name for stage in state(chain.reading(), "chain", None).stages if stage.broken]

    assert broken() == []
    chain.calls(*[None] * 3)
    assert broken() == ["hear"]


CASES: dict[str, tuple[str, list[Any], list[Any]]] = {
    "nulls": ("stage: hear, signal: null_ratio, above: 20%", [None] * 10, [None] * 4),
    "errors": ("stage: hear, signal: error_ratio, above: 20%", ["raise"] * 10, ["raise"] * 4),
    "errors of runs": ("signal: error_ratio, above: 20%", ["raise"] * 10, ["raise"] * 4),
    "a mean": ("stage: hear, signal: {mean: output.level}, above: -35", [-10.0] * 10, [-10.0] * 2),
    "missing": ("stage: hear, signal: {missing_ratio: output.level}, above: 20%", [float("nan")] * 10, []),
    "too many calls": ("stage: hear, signal: throughput, above: 0.5", [-40.0] * 20, [-40.0] * 5),
}


@pytest.mark.parametrize("case", CASES)
def test_a_failure_mode_would_fire_where_its_condition_holds(case: str, chain: Chain, tmp_path: Path) -> None:
    mode, bad, good = CASES[case]
    made = spec(tmp_path, mode)
    chain.calls(*good)
    assert would_fire(made, chain.reading()) == ()
    chain.calls(*bad)
    (alert,) = would_fire(made, chain.reading())
    assert (alert.failure_mode, alert.state) == ("it", "would fire")
    assert untold(made) == ()


def test_too_few_calls_are_no_evidence(tmp_path: Path) -> None:
    chain = Chain()
    chain.calls(*[None] * 29)
    made = spec(tmp_path, "stage: hear, signal: null_ratio, above: 20%, min_calls: 30")
    assert would_fire(made, chain.reading()) == ()
    chain.calls(None)
    assert would_fire(made, chain.reading())


def test_what_a_batch_job_pushed_is_judged_as_it_is_though_nothing_of_it_rises(tmp_path: Path) -> None:
    chain = Chain()
    chain.calls(*[None] * 9)
    pushed = tuple(chain.samples())
    still = Reading(0.0, 60.0, {}, {}, samples=(), totals=pushed)
    few = "stage: hear, signal: throughput, below: %s"
    daily = SPEC.replace("budget: 1s", "budget: 1s\nschedule: daily")
    assert would_fire(spec(tmp_path, few % 10, daily), still)
    assert would_fire(spec(tmp_path, few % 9, daily), still) == ()
    (hear, _) = state(replace(still.of_last_run(), gauges=summed(pushed, GAUGES)), "chain", ()).stages
    assert (hear.numbers.null_ratio, isnan(hear.numbers.per_second)) == (1.0, True)


def test_feedback_and_latency_are_judged(chain: Chain, tmp_path: Path) -> None:
    asked_again = spec(tmp_path, "stage: tell, signal: {feedback: redo}, above: 20%")
    late = spec(tmp_path, "stage: hear, signal: {latency: p95}, above: 100ms")
    assert would_fire(asked_again, chain.reading()) == would_fire(late, chain.reading()) == ()
    for _ in range(10):
        chain.pipeline.feedback("redo", stage="tell")
    assert would_fire(asked_again, chain.reading())
    slow = [
        Sample(each.labels, each.value - 18) if each.labels.get("le") in ("0.1", "0.05") else each
        for each in chain.samples()
    ]
    assert would_fire(late, Reading(0, 60, {}, {}, samples=tuple(slow)))


@pytest.mark.parametrize(
    "mode",
    [
        "stage: hear, signal: null_ratio, above: 2x last week",
        "stage: hear, signal: no_calls",
        "signal: {promql: up == 0}",
    ],
)
def test_what_a_page_can_not_tell_is_named(mode: str, chain: Chain, tmp_path: Path) -> None:
    made = spec(tmp_path, mode)
    assert untold(made) == ("it",)
    chain.calls(*[None] * 30)
    assert would_fire(made, chain.reading()) == ()


def test_a_page_is_compared_with_itself_as_long_ago_as_asked(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "page_samples", lambda url: chain.samples())
    now = 0.0
    page = Page("http://here/metrics", over=10.0, clock=lambda: now)
    assert (page.read().seconds, page.read().total("pipemon_stage_calls_total")) == (0, 0)
    for _ in range(30):
        now += 1
        chain.calls(-40.0)
        reading = page.read()
    assert reading.seconds == 10
    assert reading.total("pipemon_stage_calls_total", stage="hear") == 10


@pytest.mark.parametrize("name", ["drifting", "shifting"])
def test_drift_takes_the_past_which_no_page_has(name: str) -> None:
    made = load(Path(__file__).parents[1] / "generate" / f"{name}.yaml")
    assert untold(made) == tuple(mode.name for mode in made.measurable)
