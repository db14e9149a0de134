"""What is told of a stage's output later: scores, labels, raters, candidates, decisions."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

import pipemon
from pipemon import DeclarationError, Pipeline, Score, catalogue
from pipemon.instrument.bounds import for_unit
from pipemon.topology import ScoreShape

Read = Callable[..., float | None]


@pytest.fixture
def asr(registry: CollectorRegistry) -> Pipeline:
    """A pipeline of one stage that declares all that can be told of it."""
    speech = Pipeline("speech", version="1.4", registry=registry, slices={"age": ["young", "old"]})
    mos = Score("gain", unit="dB", bounds=[-6, 0, 6])
    speech.stage("asr", scores=["wer", mos], candidates=["2.0"], labels=True, decisions=True)(lambda: "words")
    return speech


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_a_score_goes_into_the_histogram_of_all_and_of_its_slice(asr: Pipeline, read: Read) -> None:
    asr.score("wer", 0.15, stage="asr", slice={"age": "young"})
    asr.score("wer", 0.4, stage="asr", slice={"age": "Methuselah"})
    asr.score("wer", 1.5, stage="asr")
    of = {"stage": "asr", "version": "1.4", "track": "stable", "score": "wer"}
    for slice, count, total in (("", 3, 2.05), ("age=young", 1, 0.15), ("age=old", 0, 0.0), ("other", 1, 0.4)):
        assert read("pipemon_quality_score_count", **of, slice=slice) == count
        assert read("pipemon_quality_score_sum", **of, slice=slice) == pytest.approx(total)
    assert read("pipemon_quality_score_bucket", **of, slice="", le="0.4") == 2


def test_the_mean_of_scores_of_both_signs_is_the_difference_of_the_sums_over_the_count(
    asr: Pipeline, read: Read
) -> None:
    for gain in (-9.0, 2.0, 1.0):
        asr.score("gain", gain, stage="asr")
    of = {"score": "gain", "slice": ""}
    assert read("pipemon_quality_sum_total", **of, sign="positive") == 3
    assert read("pipemon_quality_sum_total", **of, sign="negative") == 9
    assert read("pipemon_quality_score_bucket", **of, le="+Inf") == 3
    assert read("pipemon_quality_score_sum", **of) is None  # it would fall, and a counter does not


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e300])
def test_a_score_that_is_no_finite_number_is_not_counted(
    asr: Pipeline, read: Read, caplog: pytest.LogCaptureFixture, value: float
) -> None:
    asr.score("wer", value, stage="asr")
    assert read("pipemon_quality_score_count", score="wer", slice="") == 0
    assert messages(caplog) == ["score wer of stage asr: not a finite number"]


def test_two_raters_that_differ_are_counted_beside_all_that_were_rated(asr: Pipeline, read: Read) -> None:
    asr.rated("asr", agreed=True)
    asr.rated("asr", agreed=False, slice={"age": "old"})
    assert read("pipemon_labels_rated_total", slice="") == 2
    assert read("pipemon_label_disagreements_total", slice="") == 1
    assert read("pipemon_label_disagreements_total", slice="age=old") == 1


def test_a_candidate_agrees_differs_or_fails(asr: Pipeline, read: Read, caplog: pytest.LogCaptureFixture) -> None:
    for agreed in (True, True, False, None):
        asr.compared("asr", candidate="2.0", agreed=agreed)
    asr.compared("asr", candidate="2.1", agreed=False)
    found = {
        result: read("pipemon_comparisons_total", candidate="2.0", result=result)
        for result in catalogue.COMPARISON_RESULTS
    }
    assert found == {"agree": 2, "disagree": 1, "candidate_error": 1}
    assert read("pipemon_comparisons_total", candidate="other", result="disagree") == 1
    assert messages(caplog) == [
        "a comparison of stage asr counts as other: there is no candidate '2.1'; did you mean '2.0'?"
    ]


def test_decisions_by_who_made_them_and_how_long_a_person_took(
    asr: Pipeline, read: Read, caplog: pytest.LogCaptureFixture
) -> None:
    asr.decided("asr", by="model")
    asr.decided("asr", by="human", agreed=False, waited=90)
    asr.decided("asr", by="humn")
    found = {
        (by, agreed): read("pipemon_decisions_total", decided_by=by, agreed=agreed)
        for by in catalogue.DECIDERS
        for agreed in catalogue.ANSWERS
    }
    assert {key for key, number in found.items() if number == 1} == {("model", "unknown"), ("human", "no")}
    assert sum(number or 0 for number in found.values()) == 2
    assert read("pipemon_review_wait_seconds_sum") == 90
    assert messages(caplog) == [
        "a decision on stage asr is not counted: there is no decider 'humn'; did you mean 'human'?"
    ]


def test_calibration_has_a_bin_for_each_tenth_whose_upper_bound_is_in_it(asr: Pipeline, read: Read) -> None:
    for confidence in (0.0, 0.1, 0.3, 0.30001, 0.7, 1.0):
        asr.calibration("asr", confidence, correct=confidence > 0.3)
    found = {
        (bin, correct): number
        for bin in catalogue.CONFIDENCE_BINS
        for correct in ("yes", "no")
        if (number := read("pipemon_calibration_total", confidence_bin=bin, correct=correct))
    }
    assert found == {("0.1", "no"): 2, ("0.3", "no"): 1, ("0.4", "yes"): 1, ("0.7", "yes"): 1, ("1.0", "yes"): 1}
    assert read("pipemon_calibration_confidence_total", confidence_bin="0.1") == 0.1
    asr.calibration("asr", 93.0, correct=True)  # a percentage
    assert read("pipemon_calibration_total", confidence_bin="1.0", correct="yes") == 1


def test_a_confidence_feature_has_every_bin_of_the_calibration_among_its_bounds() -> None:
    assert {float(bound) for bound in catalogue.CONFIDENCE_BINS} <= set(for_unit("ratio"))


def test_the_traffic_of_a_version_is_there_once_it_is_told(asr: Pipeline, read: Read) -> None:
    assert read("pipemon_rollout_traffic_ratio") is None
    asr.traffic("asr", "1.4", 0.95)
    asr.traffic("asr", "1.4", 95)
    asr.traffic("asr", "1.3", 0.05)
    assert read("pipemon_rollout_traffic_ratio", version="1.4", track="stable") == 0.95


def test_a_name_that_was_not_declared_is_logged_once_with_the_nearest(
    asr: Pipeline, read: Read, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        asr.score("were", 0.1, stage="asr")
        asr.score("Jane said no", 0.1, stage="asr")  # what is no near miss may be somebody's data
        asr.score("wer", 0.1, stage="ars")
    assert messages(caplog) == [
        "score on stage asr: there is no score 'were'; did you mean 'wer'?",
        "score on stage asr: there is no score of that name; the names are wer, gain",
        "score: there is no stage 'ars'; did you mean 'asr'?",
    ]
    assert read("pipemon_quality_score_count", score="wer", slice="") == 0


TELLING: dict[str, Callable[[Pipeline], None]] = {
    "score: stage vad is not declared with scores=['wer']": lambda p: p.score("wer", 0.1, stage="vad"),
    "label_expected: stage vad is not declared with labels=True": lambda p: p.label_expected("vad"),
    "calibration: stage vad is not declared with labels=True": lambda p: p.calibration("vad", 0.5, True),
    "rated: stage vad is not declared with labels=True": lambda p: p.rated("vad", True),
    "compared: stage vad is not declared with candidates=['2.0']": lambda p: p.compared("vad", "2.0", True),
    "decided: stage vad is not declared with decisions=True": lambda p: p.decided("vad", "human"),
}


@pytest.mark.parametrize("message", TELLING)
def test_a_stage_has_the_series_that_it_declares_and_says_once_what_it_lacks(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture, message: str
) -> None:
    speech = Pipeline("speech", registry=registry)
    speech.stage("vad")(len)
    before = sum(len(family.samples) for family in registry.collect())
    TELLING[message](speech)
    TELLING[message](speech)
    assert messages(caplog) == [message]
    assert sum(len(family.samples) for family in registry.collect()) == before


def test_whatever_is_told_nothing_raises(asr: Pipeline, caplog: pytest.LogCaptureFixture) -> None:
    odd: list[Any] = [None, object(), b"\xff", [], 1e999, "\ud800"]
    with caplog.at_level(logging.CRITICAL):
        for value in odd:
            asr.feedback(value, value, run=value, slice=value)
            asr.score(value, value, value, run=value)
            asr.score("wer", value, "asr", run=value, slice={value: value} if isinstance(value, str) else value)
            asr.label_expected("asr", run=value)
            asr.calibration("asr", value, value, run=value)
            asr.rated("asr", value, run=value, slice=value)
            asr.compared("asr", value, value, run=value)
            asr.decided("asr", value, value, waited=value, run=value)
            asr.traffic("asr", value, value)


def test_describe_tells_what_can_be_told_later(asr: Pipeline) -> None:
    (stage,) = asr.describe().stages
    assert stage.scores == (ScoreShape("wer", "ratio", for_unit("ratio")), ScoreShape("gain", "dB", (-6.0, 0.0, 6.0)))
    assert (stage.candidates, stage.labels, stage.decisions) == (("2.0",), True, True)


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda p: p.stage("asr", scores=["wer", "wer"]), "stage 'asr': two scores are called 'wer'"),
        (lambda p: p.stage("asr", scores=["w er"]), "score name 'w er': use letters"),
        (lambda p: p.stage("asr", scores=[0.5]), "stage 'asr': a score is a name or pipemon.Score"),
        (lambda p: p.stage("asr", scores=[f"s{n}" for n in range(21)]), "stage 'asr': 21 scores; at most 20"),
        (lambda p: p.stage("asr", candidates=[f"{n}" for n in range(21)]), "stage 'asr': 21 candidates; at most 20"),
        (lambda p: p.stage("asr", candidates=[""]), "stage 'asr': candidates: version '' is not a text"),
        (lambda p: Score("wer", unit="percent"), "score 'wer': unit 'percent' is not a base unit; use 'ratio'"),
        (lambda p: Score("wer", bounds=[1, 1]), "score 'wer': bounds must rise"),
        (lambda p: Pipeline("speech", token_key=""), "pipeline 'speech': token_key is a secret"),
    ],
)
def test_a_wrong_declaration_is_told_at_decoration(
    speech: Pipeline, declare: Callable[[Pipeline], object], message: str
) -> None:
    with pytest.raises(DeclarationError, match=message.replace("(", r"\(")):
        declare(speech)


def test_disabled_nothing_is_counted_and_a_token_is_empty(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPEMON_DISABLED", "1")
    speech = Pipeline("speech", registry=registry)
    speech.stage("asr", scores=["wer"])(len)
    run = pipemon.current_run()
    assert run is not None
    speech.score("wer", 0.1, stage="asr", run=run.token)
    speech.traffic("asr", "0", 1.0)
    assert (run.token, list(registry.collect())) == ("", [])
    assert speech.describe().stages[0].scores[0].name == "wer"
