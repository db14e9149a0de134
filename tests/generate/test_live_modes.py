"""Each failure mode is told with its value now and in the last hour, or why it can't be known, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipemon.generate.live.counters import NotOnePageError, Page
from pipemon.generate.live.modes import Line, modes_told
from pipemon.generate.live.running import Live
from pipemon.generate.promql import Expr, Raw
from pipemon.prometheus import Sample, Series
from pipemon.spec.load import load

NOW = 1_000_000.0
HEAD = """\
pipeline: speech
budget: 500ms
stages: {vad: {budget: 50ms, features: {output.segments: segments}}, asr: {after: vad, budget: 300ms}}
"""


@dataclass
class Fake:
    """A Prometheus whose windows hold all that was counted, and whose past was a share of it."""

    samples: Sequence[Sample]
    hour: tuple[float, ...] = ()
    scraped: float | None = 15.0
    kept: float | None = 15 * 86400.0
    pipelines: Sequence[str] = ()
    external: Sequence[str] = ()
    one_process: bool = False
    asked: list[Expr] = field(default_factory=list)

    def shown(self, names: Sequence[str], labels: Sequence[str], pipeline: str) -> list[dict[str, str]]:
        own = [dict(sample.labels) for sample in self.samples if sample.labels["__name__"] in names]
        return [row for row in own if pipeline in (row.get("pipeline", ""), row.get("exported_pipeline"))]

    def now(self, expr: Expr) -> list[Sample] | None:
        self.asked.append(expr)
        if isinstance(expr, Raw):
            return []
        try:
            return Page(self.samples, NOW).evaluate(expr)
        except NotOnePageError:
            return []

    def lately(self, expr: Expr) -> list[Series]:
        now = self.now(expr) or []
        times = [(NOW - 60 * step, share) for step, share in enumerate(self.hour)]
        return [Series(each.labels, tuple((time, each.value * share) for time, share in times)) for each in now]

    def others(self, like: str) -> list[str]:
        return [*self.pipelines] if like == "pipeline" else [each.labels[like] for each in self.samples]

    def interval(self, jobs: Iterable[str]) -> float | None:
        return self.scraped

    def retention(self) -> float | None:
        return self.kept

    def external_labels(self) -> frozenset[str]:
        return frozenset(self.external)


def counted(values: Mapping[str, float], **labels: str) -> list[Sample]:
    own = {"pipeline": "speech", "stage": "vad", "version": "1", "track": "stable", "job": "speech"} | labels
    return [Sample({"__name__": f"pipemon_stage_{name}", **own}, value) for name, value in values.items()]


def calls(of: float, null: float, **labels: str) -> list[Sample]:
    return counted({"calls_total": of, "skipped_total": 0, "null_outputs_total": null}, **labels)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def told(folder: Path, live: Live, modes: str, head: str = HEAD) -> list[Line]:
    (folder / "speech.yaml").write_text(f"{head}failure_modes:\n{modes}\n")
    return list(modes_told(load(folder / "speech.yaml"), live))


CUTS = "  vad-cuts: {what: It cuts, stage: vad, signal: null_ratio, above: 5%}"


def test_the_value_now_and_in_the_last_hour_stands_beside_the_threshold(folder: Path) -> None:
    (line,) = told(folder, Fake(calls(1000, 310), hour=(1, 0.5, 1.1)), CUTS)
    assert line == Line("vad-cuts: vad null_ratio 31% now, 15.5% to 34.1% in the last hour, above 5%: would be firing")


def test_what_is_within_the_threshold_is_fine(folder: Path) -> None:
    (line,) = told(folder, Fake(calls(1000, 20)), CUTS)
    assert line == Line("vad-cuts: vad null_ratio 2% now, above 5%: is fine")


def test_too_few_calls_to_tell_are_said_with_how_many_it_takes(folder: Path) -> None:
    """At 5%, three bad calls are to be expected of sixty; three bad ones of seven tell already."""
    (line,) = told(folder, Fake(calls(7, 0)), CUTS)
    assert line == Line(
        "vad-cuts: vad null_ratio 0% now, above 5%: unknown: too little traffic: 7 calls in 5m, needs 60"
    )
    (line,) = told(folder, Fake(calls(7, 2)), CUTS)
    assert "too little traffic: 7 calls in 5m, needs 60" in line.words
    (line,) = told(folder, Fake(calls(7, 3)), CUTS)
    assert line.words.endswith("above 5%: would be firing")
    (line,) = told(folder, Fake(calls(0, 0)), CUTS)
    assert line.words == "vad-cuts: vad null_ratio, above 5%: unknown: too little traffic: 0 calls in 5m, needs 60"


def test_calls_that_ask_for_more_are_waited_for(folder: Path) -> None:
    asks = "  few: {what: Few, stage: vad, signal: null_ratio, below: 50%, min_calls: 500}"
    (line,) = told(folder, Fake(calls(499, 10)), asks)
    assert line.words.endswith("unknown: too little traffic: 499 calls in 5m, needs 500")
    (line,) = told(folder, Fake(calls(501, 10)), asks)
    assert line.words.endswith("would be firing")


def test_conditions_are_told_together_with_what_follows_of_them(folder: Path) -> None:
    both = "  dead: {what: Dead, stage: vad, signals: {%s: [{signal: null_ratio, above: 5%%}, {signal: error_ratio}]}}"
    live = Fake([*calls(1000, 310), *counted({"failures_total": 0})])
    values = "vad null_ratio 31% now, above 5%, {} vad error_ratio 0% now, above 5%"
    (line,) = told(folder, live, both % "all")
    assert line.words == f"dead: {values.format('and')}: is fine"
    (line,) = told(folder, live, both % "any")
    assert line.words == f"dead: {values.format('or')}: would be firing"


def test_each_place_has_its_line_the_worst_first_and_many_are_counted(folder: Path) -> None:
    head = HEAD + "keep: [cluster]\n"
    places = [*calls(1000, 310, cluster="eu"), *calls(1000, 0, cluster="ap"), *calls(7, 0, cluster="us")]
    lines = [line.words for line in told(folder, Fake(places), CUTS, head)]
    assert [words.partition(":")[0] for words in lines] == [
        'vad-cuts (cluster="eu")',
        'vad-cuts (cluster="us")',
        'vad-cuts (cluster="ap")',
    ]
    many = [sample for number in range(8) for sample in calls(1000, 0, cluster=f"c{number}")]
    assert told(folder, Fake(many), CUTS, head)[-1].words == "vad-cuts: 3 more: is fine"


def test_a_label_that_is_kept_and_is_not_there_is_a_fault(folder: Path) -> None:
    (line,) = told(folder, Fake(calls(1000, 0)), CUTS, HEAD + "keep: [cluster]\n")
    assert line.fault
    assert line.words.endswith(
        "the label cluster is not on pipemon_stage_null_outputs_total there; "
        "add it to the target, or take it out of `keep`"
    )


def test_what_is_selected_and_is_not_there_is_told_with_what_is(folder: Path) -> None:
    head = HEAD + "select: {namespace: prod}\n"
    (line,) = told(folder, Fake(calls(1000, 0, namespace="staging")), CUTS, head)
    assert line.fault
    assert 'no series of pipemon_stage_null_outputs_total with namespace="prod" there, but with "staging"' in line.words
    (line,) = told(folder, Fake(calls(1000, 0)), CUTS, head)
    without = "the label namespace is not on pipemon_stage_null_outputs_total there; "
    assert line.words.endswith(f"{without}add it to the target, or take it out of `select`")
    (line,) = told(folder, Fake(calls(1000, 0), external=["namespace"]), CUTS, head)
    words = "it is an external label, which no rule sees: take it out of `select`, and `keep` it"
    assert line.words.endswith(f"{without}{words}")


def test_a_pipeline_that_is_not_scraped_is_told_with_the_nearest_that_is(folder: Path) -> None:
    (line,) = told(folder, Fake([], pipelines=["vision", "speach"]), CUTS)
    assert line == Line(
        "vad-cuts: vad null_ratio: unknown: no series of the pipeline 'speech' there; is it scraped? "
        "The nearest there is 'speach'",
        fault=True,
    )
    (line,) = told(folder, Fake([], pipelines=["vision"]), CUTS)
    assert line.words.endswith("no series of the pipeline 'speech' there; is it scraped?")


def test_a_series_that_is_not_there_is_told_with_the_nearest_that_is(folder: Path) -> None:
    renamed = counted({"calls_total": 9, "skipped_total": 0, "null_output_total": 1})
    (line,) = told(folder, Fake(renamed), CUTS)
    assert line.fault
    assert line.words.endswith(
        "no series of pipemon_stage_null_outputs_total there; the nearest there is 'pipemon_stage_null_output_total'"
    )


def test_a_stage_and_a_feature_that_are_not_there_are_told_with_those_that_are(folder: Path) -> None:
    (line,) = told(folder, Fake(calls(9, 0, stage="asr")), CUTS)
    assert line.fault
    assert 'no series of pipemon_stage_null_outputs_total with stage="vad" there, but with "asr"' in line.words
    segments = [
        Sample({**each.labels, "__name__": "pipemon_feature_sum_total", "direction": "output", "sign": sign}, 1.0)
        for each in counted({"": 0}, feature="length")
        for sign in ("positive", "negative")
    ]
    few = "  few: {what: Few, stage: vad, signal: {mean: output.segments}, below: 1}"
    (line,) = told(folder, Fake(segments), few)
    assert 'pipemon_feature_sum_total with feature="segments" there, but with "length"' in line.words


def test_an_exporter_that_counts_no_skips_lacks_nothing(folder: Path) -> None:
    (line,) = told(folder, Fake(counted({"calls_total": 1000, "null_outputs_total": 310})), CUTS)
    assert line.words.endswith("would be firing")


def test_a_target_label_in_the_place_of_ours_is_told_with_what_to_do(folder: Path) -> None:
    clash = calls(1000, 310, stage="prod", exported_stage="vad")
    first, line = told(folder, Fake(clash), CUTS)
    assert first == Line(
        "a target label stage hides pipemon's own, which arrives as exported_stage: "
        'set `honor_labels: true` in the scrape config of the job "speech", rename the target\'s, '
        "or say `labels: {stage: exported_stage}`",
        fault=True,
    )
    assert line.words.endswith("the label stage of pipemon_stage_null_outputs_total arrives as exported_stage")
    first, *_ = told(folder, Fake(calls(9, 0, pipeline="p", exported_pipeline="speech", exported_version="9")), CUTS)
    assert first.words.startswith(
        "target labels pipeline and version hide pipemon's own, which arrive as exported_pipeline and exported_version"
    )
    # One of the same value hides nothing.
    (line,) = told(folder, Fake(calls(1000, 310, exported_pipeline="speech")), CUTS)
    assert line.words.endswith("would be firing")


def test_a_window_under_two_scrapes_can_never_have_a_value(folder: Path) -> None:
    slow, line = told(folder, Fake(calls(1000, 310), scraped=180.0), CUTS)
    assert slow.words == (
        "scraped every 3m there, and the file says scrape_interval: 15s, which every window is sized for"
    )
    assert not slow.fault
    assert line.fault
    assert line.words.endswith("unknown: its window of 5m is under two scrapes, one every 3m there")


def test_a_retention_shorter_than_what_is_looked_back_over_is_told(folder: Path) -> None:
    than_last_week = "  more: {what: More, stage: vad, signal: null_ratio, above: 2x last week}"
    (line,) = told(folder, Fake(calls(1000, 310), kept=86400.0), than_last_week)
    assert line.fault
    assert line.words.endswith("unknown: it looks back 7d1h, and samples are kept for 1d there")
    (line,) = told(folder, Fake(calls(1000, 310), kept=None), than_last_week)
    assert "kept" not in line.words


def test_what_the_past_has_no_value_of_is_unknown(folder: Path) -> None:
    (line,) = told(folder, Fake(calls(1000, 310)), CUTS.replace("5%", "2x last week"))
    assert not line.fault
    assert line.words.endswith("above 2x last week: unknown: there is no value of last week to compare with")


def test_a_canary_is_told_beside_the_stable_version_and_by_its_version(folder: Path) -> None:
    worse = "  worse: {what: Worse, stage: vad, signal: {compare: null_ratio}, above: 1.5x stable}"
    stable = calls(1000, 100)
    (line,) = told(folder, Fake(stable), worse)
    assert line == Line("worse: vad's canary null_ratio: unknown: no canary runs there")
    (line,) = told(folder, Fake([*stable, *calls(1000, 310, version="2", track="canary")]), worse)
    assert line.words == (
        "worse (version=\"2\"): vad's canary null_ratio 31% now, above 1.5x stable's 10%: would be firing"
    )
    (line,) = told(folder, Fake([*calls(7, 1), *calls(1000, 310, version="2", track="canary")]), worse)
    assert line.words.endswith("unknown: too little traffic to compare with: 7 calls of stable, needs 20")


def test_a_multiple_of_none_is_of_as_many_bad_ones_as_there_must_be_now(folder: Path) -> None:
    worse = "  worse: {what: Worse, stage: vad, signal: {compare: null_ratio}, above: 1.5x stable}"
    (line,) = told(folder, Fake([*calls(1000, 0), *calls(1000, 4, version="2", track="canary")]), worse)
    assert line.words.endswith("null_ratio 0.4% now, above 1.5x stable's 0%, taken for 0.3%: is fine")
    (line,) = told(folder, Fake([*calls(1000, 0), *calls(1000, 5, version="2", track="canary")]), worse)
    assert line.words.endswith("null_ratio 0.5% now, above 1.5x stable's 0%, taken for 0.3%: would be firing")


def test_silence_would_fire_and_so_would_series_that_are_gone(folder: Path) -> None:
    silent = "  silent: {what: Silent, stage: vad, signal: no_calls}"
    (line,) = told(folder, Fake(calls(0, 0)), silent)
    assert line == Line("silent: vad no_calls, no calls in 5m: would be firing")
    (line,) = told(folder, Fake(calls(7, 0)), silent)
    assert line == Line("silent: vad no_calls, 7 calls in 5m: is fine")
    (line,) = told(folder, Fake([]), silent)
    assert line.fault
    assert line.words.endswith("would be firing")


def test_a_written_expression_that_gives_nothing_is_asked_for_its_names(folder: Path) -> None:
    written = (
        "  full: {what: Full, signal: {promql: 'queue_lenght > 1 unless absent(queue_size)'},"
        " fires_on: ['queue_lenght 5'], quiet_on: ['queue_lenght 0']}"
    )
    other = Sample({"__name__": "queue_length"}, 5.0)
    (line,) = told(folder, Fake([other]), written)
    assert line.fault
    assert line.words == (
        "full: its expression does not hold now, did not hold in the last hour: unknown: "
        "no series of queue_lenght there; the nearest there is 'queue_length'"
    )


def test_each_recording_is_asked_for_once_however_many_read_it(folder: Path) -> None:
    live = Fake(calls(1000, 310))
    told(folder, live, "\n".join(CUTS.replace("vad-cuts", f"cuts-{n}").replace("5%", f"{n}%") for n in range(1, 20)))
    # Its value now and in the last hour, the calls and the null outputs behind it.
    assert len(live.asked) == 4


def test_one_process_tells_its_counters_since_it_began_and_nothing_of_rates_or_the_past(folder: Path) -> None:
    @dataclass
    class Process(Fake):
        one_process: bool = True

        def now(self, expr: Expr) -> list[Sample] | None:
            try:
                return Page(self.samples, NOW).evaluate(expr)
            except NotOnePageError:
                return None

    live = Process([*calls(1000, 310), *counted({"in_progress": 3.0})], scraped=None, kept=None)
    modes = (
        "  busy: {what: Busy, stage: vad, signal: throughput, above: 40}\n"
        "  full: {what: Full, stage: vad, signal: in_progress, above: 2}\n"
        f"{CUTS}\n{CUTS.replace('vad-cuts', 'more').replace('5%', '2x last week')}"
    )
    assert [line.words for line in told(folder, live, modes)] == [
        "busy: vad throughput: unknown: one process's page does not tell it; ask a Prometheus",
        "full: vad in_progress 3 calls now, above 2 calls: would be firing",
        "vad-cuts: vad null_ratio 31% since the process began, above 5%: would be firing",
        "more: vad null_ratio 31% since the process began, above 2x last week: unknown: "
        "one process's page does not tell it; ask a Prometheus",
    ]


def test_the_items_of_a_last_run_are_told_to_the_last_one(folder: Path) -> None:
    live = Fake([*calls(1, 0), *counted({"items_in_total": 123_456})])
    few = "  few: {what: Few, stage: vad, signal: throughput, below: %s}"
    (line,) = told(folder, live, few % "200000", HEAD + "schedule: daily\n")
    assert line.words == "few: vad throughput 123456 items now, below 200000 items: would be firing"
    (line,) = told(folder, live, few % "0.5x yesterday", HEAD + "schedule: daily\n")
    assert line.words.endswith("unknown: there is no value of yesterday to compare with")


def test_nothing_is_told_of_what_nothing_measures(folder: Path) -> None:
    assert told(folder, Fake([]), "  rude: {what: Rude}") == []
