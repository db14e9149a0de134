# mypy: disable-error-code="no-untyped-call"
"""What is told of a run counts for the version that served in it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

import pipemon
from pipemon import Pipeline
from pipemon.instrument import attribution
from pipemon.instrument.run_token import write_token

ID = "4bf92f3577b34da6a3ce929d0e0e4736"
Read = Callable[..., float | None]


class TwoVersions:
    """asr 1.4 and its canary 2.0, and a run that is served by one of them."""

    def __init__(self, registry: CollectorRegistry, token_key: str | None = None, name: str = "speech") -> None:
        self.speech = Pipeline(name, version="1.4", registry=registry, slices={"age": ["young"]}, token_key=token_key)
        old = self.speech.stage("asr", scores=["wer"], labels=True)(repr)
        new = self.speech.stage("asr", version="2.0", track="canary")(repr)
        shadow = self.speech.stage("asr", version="3.0", track="shadow")(repr)

        @self.speech.run
        def answer(served: str) -> str:
            shadow("audio")
            {"1.4": old, "2.0": new}[served]("audio")
            return token()

        self.answer = answer


def token() -> str:
    run = pipemon.current_run()
    assert run is not None
    return run.token


@pytest.fixture
def versions(registry: CollectorRegistry) -> TwoVersions:
    return TwoVersions(registry)


def test_each_version_has_what_is_told_of_its_runs(versions: TwoVersions, read: Read) -> None:
    versions.speech.score("wer", 0.5, stage="asr", run=versions.answer("2.0"), slice={"age": "young"})
    versions.speech.score("wer", 0.1, stage="asr", run=versions.answer("1.4"))
    versions.speech.feedback("redo", stage="asr", run=versions.answer("2.0"))
    of = {"stage": "asr", "score": "wer", "slice": ""}
    assert read("pipemon_quality_score_sum", **of, version="1.4", track="stable") == 0.1
    assert read("pipemon_quality_score_sum", **of, version="2.0", track="canary") == 0.5
    assert read("pipemon_quality_score_count", **of, version="3.0", track="shadow") == 0
    assert read("pipemon_feedback_total", signal="redo", slice="", version="2.0") == 1
    assert read("pipemon_feedback_total", signal="redo", slice="", version="1.4") == 0


def test_a_version_in_shadow_is_scored_by_its_name_and_is_no_label_of_what_served(
    versions: TwoVersions, read: Read, caplog: pytest.LogCaptureFixture
) -> None:
    run = versions.answer("1.4")
    versions.speech.score("wer", 0.2, stage="asr", run=run)
    versions.speech.score("wer", 0.3, stage="asr", run=run, version="3.0")
    versions.speech.calibration("asr", 0.9, True, run=run, version="3.0")
    versions.speech.score("wer", 0.4, stage="asr", run=run, version="3.1")
    assert read("pipemon_quality_score_sum", version="3.0", track="shadow", slice="") == 0.3
    assert read("pipemon_calibration_total", version="3.0", confidence_bin="0.9", correct="yes") == 1
    assert read("pipemon_quality_score_sum", version="1.4", slice="") == 0.2
    arrived = {version: read("pipemon_labels_arrived_total", version=version) for version in ("1.4", "3.0")}
    assert arrived == {"1.4": 1, "3.0": 0}
    assert [record.getMessage() for record in caplog.records] == [
        "score: stage asr has no version '3.1'; did you mean '3.0'?"
    ]


def test_a_version_beside_the_first_may_declare_scores_of_its_own(registry: CollectorRegistry, read: Read) -> None:
    speech = Pipeline("speech", registry=registry)
    speech.stage("asr", scores=["wer"])(repr)
    speech.stage("asr", version="2.0", track="canary", scores=["wer", "cer"])(repr)
    assert read("pipemon_quality_score_count", score="cer", version="2.0", slice="") == 0
    assert read("pipemon_quality_score_count", score="cer", version="0", slice="") is None


def test_a_run_itself_will_do_for_its_token_and_without_a_run_the_first_version_is_meant(
    registry: CollectorRegistry, read: Read
) -> None:
    # No other test's pipeline has this name, and a run without calls is of the first that has.
    versions = TwoVersions(registry, name="telephone")
    run = pipemon.Run("telephone")
    with run:
        versions.speech.feedback("redo", stage="asr", run=pipemon.current_run())
    versions.speech.feedback("redo", stage="asr")
    versions.speech.feedback("redo", stage="asr", run="")  # from where pipemon is disabled
    assert read("pipemon_feedback_total", signal="redo", slice="", version="1.4") == 3
    for reason in ("plain", "unknown"):
        assert read("pipemon_feedback_unattributed_total", reason=reason) == 0


def serve_async(speech: Pipeline) -> str:
    new = speech.stage("asr", version="2.0")(lambda: asyncio.sleep(0, "words"))

    @speech.run
    async def answer() -> str:
        await asyncio.gather(new(), asyncio.to_thread(time.sleep, 0))
        return token()

    return asyncio.run(answer())


def serve_stream(speech: Pipeline) -> str:
    @speech.stage("asr", version="2.0")
    def new() -> Iterator[str]:
        yield from ("hello", "world")

    @speech.run
    def answer() -> str:
        return "".join(new()) and token()

    return answer()


def serve_batch(speech: Pipeline) -> str:
    new = speech.stage("asr", version="2.0", batch=True)(lambda items: items)
    return speech.run(lambda: str(new([1, 2])) and token())()


def serve_block(speech: Pipeline) -> str:
    new = speech.stage("asr", version="2.0")

    def answer() -> str:
        with new.call() as call:
            call.output("words")
        return token()

    return speech.run(answer)()


def serve_in_an_inner_run(speech: Pipeline) -> str:
    new = speech.run(speech.stage("asr", version="2.0")(lambda: "words"))
    return speech.run(lambda: new() and token())()


@pytest.mark.parametrize("serve", [serve_async, serve_stream, serve_batch, serve_block, serve_in_an_inner_run])
def test_every_kind_of_stage_tells_the_run_that_it_served(
    speech: Pipeline, read: Read, serve: Callable[[Pipeline], str]
) -> None:
    speech.stage("asr")(lambda: "words")
    speech.feedback("redo", stage="asr", run=serve(speech))
    assert read("pipemon_feedback_total", signal="redo", version="2.0") == 1


def test_a_version_that_raised_did_not_serve(speech: Pipeline, read: Read) -> None:
    old = speech.stage("asr")(lambda: "words")

    @speech.stage("asr", version="2.0")
    def new() -> str:
        raise ConnectionError

    @speech.run
    def answer() -> str:
        try:
            return new()
        except ConnectionError:
            return old() and token()

    speech.feedback("redo", stage="asr", run=answer())
    assert read("pipemon_feedback_total", signal="redo", version="1.4") == 1


def test_a_version_that_is_gone_gets_its_series_from_the_first_thing_told(speech: Pipeline, read: Read) -> None:
    speech.stage("asr", scores=["wer"])(repr)
    gone = write_token(ID, time.time(), "speech", {"asr": ("1.3", "canary")})
    speech.score("wer", 0.2, stage="asr", run=gone)
    assert read("pipemon_quality_score_sum", version="1.3", track="canary") == 0.2


def test_however_many_versions_tokens_tell_a_stage_has_20(speech: Pipeline, registry: CollectorRegistry) -> None:
    speech.stage("asr")(repr)
    for number in range(50):
        speech.feedback("redo", "asr", run=write_token(ID, 0.0, "speech", {"asr": (f"0.{number}", "stable")}))
    redo = {
        sample.labels["version"]: sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "pipemon_feedback_total" and sample.labels["signal"] == "redo"
    }
    assert redo == {"1.4": 31} | {f"0.{number}": 1 for number in range(19)}


@pytest.mark.parametrize(
    ("run", "reason", "said"),
    [
        (ID, "plain", "an id alone; pass run.token for the version that served"),
        (write_token(ID, 0.0, "speech", {"asr": ("2.0", "canary")})[:-1], "garbled", "no token of pipemon's"),
        (write_token(ID, 0.0, "speech", {"vad": ("2.0", "canary")}), "unknown", "no version of this stage"),
        (write_token(ID, 0.0, "vision", {"asr": ("2.0", "canary")}), "unknown", "no version of this stage"),
    ],
    ids=["an id", "cut off", "another stage's", "another pipeline's"],
)
def test_what_tells_no_version_counts_for_the_one_in_use_and_is_said_once(
    versions: TwoVersions, read: Read, caplog: pytest.LogCaptureFixture, run: str, reason: str, said: str
) -> None:
    for _ in range(2):
        versions.speech.feedback("redo", stage="asr", run=run)
    assert read("pipemon_feedback_total", signal="redo", slice="", version="1.4") == 2
    assert read("pipemon_feedback_unattributed_total", pipeline="speech", reason=reason) == 2
    assert [said in record.getMessage() for record in caplog.records] == [True]
    assert ID not in caplog.text


def test_with_a_key_only_signed_tokens_are_believed(
    registry: CollectorRegistry, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPEMON_TOKEN_KEY", "a secret")
    versions = TwoVersions(registry)
    signed = versions.answer("2.0")
    versions.speech.feedback("redo", stage="asr", run=signed)
    versions.speech.feedback("redo", stage="asr", run=write_token(ID, 0.0, "speech", {"asr": ("2.0", "canary")}))
    assert read("pipemon_feedback_total", signal="redo", slice="", version="2.0") == 1
    assert read("pipemon_feedback_unattributed_total", reason="forged") == 1
    other = TwoVersions(CollectorRegistry(), token_key="another")
    other.speech.feedback("redo", stage="asr", run=signed)
    assert read("pipemon_feedback_unattributed_total", reason="forged") == 1  # of this registry


def test_a_label_arrives_once_for_all_that_is_told_of_an_output_and_says_how_late(
    versions: TwoVersions, read: Read
) -> None:
    hour_ago = write_token(ID, time.time() - 3600, "speech", {"asr": ("1.4", "stable")})
    versions.speech.label_expected("asr", 2, run=hour_ago)
    versions.speech.feedback("redo", stage="asr", run=hour_ago)  # no label: it does not tell what is right
    assert read("pipemon_labels_arrived_total", version="1.4") == 0
    versions.speech.score("wer", 0.2, stage="asr", run=hour_ago)
    versions.speech.calibration("asr", 0.9, True, run=hour_ago)
    versions.speech.rated("asr", True, run=hour_ago)
    versions.speech.feedback("corrected", stage="asr", run=hour_ago)
    assert read("pipemon_labels_expected_total", version="1.4") == 2
    assert read("pipemon_labels_arrived_total", version="1.4") == 1
    assert read("pipemon_label_delay_seconds_count", version="1.4") == 1
    assert read("pipemon_label_delay_seconds_sum", version="1.4") == pytest.approx(3600, abs=60)


def test_of_a_run_with_many_items_each_ones_label_arrives(versions: TwoVersions, read: Read) -> None:
    run = versions.answer("1.4")
    with ThreadPoolExecutor(8) as pool:
        for _ in range(500):
            pool.submit(versions.speech.score, "wer", 0.2, "asr", run=run)
            pool.submit(versions.speech.calibration, "asr", 0.9, True, run=run)
    assert read("pipemon_labels_arrived_total", version="1.4") == 500
    assert read("pipemon_quality_score_count", version="1.4", slice="") == 500


def test_a_label_with_an_id_alone_arrives_but_says_not_how_late(versions: TwoVersions, read: Read) -> None:
    versions.speech.score("wer", 0.2, stage="asr", run="order 1234")
    assert read("pipemon_labels_arrived_total", version="1.4") == 1
    assert read("pipemon_label_delay_seconds_count", version="1.4") == 0


def test_a_label_from_before_the_run_as_clocks_may_say_is_0_late(versions: TwoVersions, read: Read) -> None:
    tomorrow = write_token(ID, time.time() + 86_400, "speech", {"asr": ("1.4", "stable")})
    versions.speech.score("wer", 0.2, stage="asr", run=tomorrow)
    assert read("pipemon_label_delay_seconds_sum", version="1.4") == 0


def test_the_runs_whose_labels_are_remembered_are_few(
    versions: TwoVersions, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attribution, "_RUNS_REMEMBERED", 10)
    for number in range(100):
        versions.speech.score("wer", 0.2, stage="asr", run=f"order {number}")
        versions.speech.calibration("asr", 0.9, True, run=f"order {number}")
    assert read("pipemon_labels_arrived_total", version="1.4") == 100
    told = versions.speech._told
    assert told is not None
    assert len(told._labelled) == 10


def test_a_run_of_a_pipeline_that_this_process_does_not_know_has_its_id_for_a_token() -> None:
    run = pipemon.Run("unheard")
    assert run.token == run.id


@pytest.mark.parametrize("made_first", ["1.4", "2.0"])
def test_of_two_pipelines_of_one_name_each_hears_of_its_own_version(
    made_first: str, registry: CollectorRegistry, read: Read
) -> None:
    made = {}
    for version in sorted(("1.4", "2.0"), key=lambda version: version != made_first):
        speech = Pipeline("speech", version=version, registry=registry)
        stage = speech.stage("asr")(repr)
        made[version] = speech, speech.run(lambda stage=stage: stage("audio") and token())
    for speech, answer in made.values():
        speech.feedback("redo", stage="asr", run=answer())
    for version in made:
        assert read("pipemon_feedback_total", signal="redo", slice="", version=version) == 1


IN_WORKERS = """
import json, os, sys
import pipemon
from pipemon.instrument.exposition.source import source

speech = pipemon.Pipeline("speech", version="1.4", slices={"age": ["young"]})
old = speech.stage("asr", scores=["wer"], labels=True)(repr)
new = speech.stage("asr", version="2.0", track="canary")(repr)
answer = speech.run(lambda served: served("audio") and pipemon.current_run().token)
tokens = [answer(old), answer(new)]
for _ in range(3):
    child = os.fork()
    if child == 0:
        for token in tokens:
            speech.score("wer", 0.25, stage="asr", run=token)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
for token in tokens:
    speech.score("wer", 0.5, stage="asr", run=token)
found = [sample for family in source(None).collect() for sample in family.samples if sample.name == sys.argv[1]]
print(json.dumps([(one.labels["version"], one.value) for one in found if one.labels.get("slice", "") == ""]))
"""


@pytest.mark.parametrize(
    ("series", "workers", "each"),
    [
        ("pipemon_quality_score_sum", True, 1.25),
        ("pipemon_quality_score_sum", False, 0.5),
        # For which runs labels have arrived, a process knows of those that it was told itself.
        ("pipemon_labels_arrived_total", True, 4),
    ],
)
def test_in_multiprocess_mode_what_forked_workers_are_told_adds_up_and_without_it_each_has_its_own(
    tmp_path: Path, series: str, workers: bool, each: float
) -> None:
    environment = {**os.environ} | ({"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)} if workers else {})
    done = subprocess.run(
        [sys.executable, "-c", IN_WORKERS, series], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == [["1.4", each], ["2.0", each]]
