"""`pipemon check` says what is covered, what nobody thought of, and what the tools of Prometheus think."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import pipemon

from pipemon.generate.coverage import summary
from pipemon.generate.inhibition import plan
from pipemon.spec.load import load

SPEECH = """\
pipeline: speech
budget: 500ms
stages:
  vad: {budget: 50ms, features: {input.level: dBFS}}
  asr: {after: vad, budget: 300ms}
  tts: {after: asr}
failure_modes:
  vad-cuts: {what: The VAD returns nothing, stage: vad, signal: null_ratio}
  loud: {what: Louder, stage: vad, signal: {mean: input.level}, above: -3, mode: {observe: 2026-11-20}}
  asr-fails: {what: It raises, stage: asr, signal: error_ratio, mode: observe}
  rude: {what: Users find it rude, stage: asr}
"""


SLOW = """\
pipeline: shop
stages: {look: {features: {output.boxes: count}}, sort: {after: look}}
failure_modes:
  few: {what: F, stage: look, signal: {mean: output.boxes}, below: 3, window: 6h, severity: page, leads_to: [bad, nil]}
  bad: {what: B, stage: sort, signal: error_ratio}
  nil: {what: E, stage: sort, signal: null_ratio, window: 1d}
"""


def test_a_cause_that_looks_back_further_than_its_effect_may_be_told_after_it(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(SLOW)
    told = pipemon("check", "shop.yaml", cwd=tmp_path).out.splitlines()
    assert "  few looks back 6h, so bad may be told before it" in told


WRITTEN = """\
pipeline: shop
keep: [cluster, namespace]
select: {namespace: prod}
stages: {sort: {}}
failure_modes:
  queue: {what: Q, stage: sort, signal: {promql: max(queue_length) > 100}}
  queue-there: {what: Q, stage: sort, signal: {promql: max by (cluster) (queue_length) > 100}}
  queue-not-there: {what: Q, stage: sort, signal: {promql: 'max without (cluster, pod) (queue_length) > 100'}}
  queue-of-any: {what: Q, stage: sort, signal: {promql: 'queue_length > 100'}}
"""


def test_an_expression_that_drops_where_it_is_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(WRITTEN)
    told = [line for line in pipemon("check", "shop.yaml", cwd=tmp_path).out.splitlines() if "drops" in line]
    assert told == [
        "  queue: its expression drops cluster, so it is one alert whatever they are",
        "  queue-not-there: its expression drops cluster, so it is one alert whatever they are",
    ]


SILENT = """\
pipeline: shop
stages: {sort: {}, tts: {calls: tts_calls_total}}
failure_modes:
  silent: {what: Nobody calls, stage: sort, signal: no_calls}
  tts-silent: {what: Nobody calls, stage: tts, signal: no_calls}
  bad: {what: It fails, stage: sort, signal: error_ratio}
"""


ENDS = "if the series of one cluster end, firing stops after 1h, as if all were well; "


@pytest.mark.parametrize(
    ("head", "told"),
    [
        ("keep: [cluster]", ["sort", "tts"]),
        ("keep: [cluster]\ntargets: {job: shop}", ["tts"]),
        ("keep: [namespace]\nselect: {namespace: prod}", []),
        ("keep: [cluster]\nlink: intermittent", ["both"]),
        ("", []),
    ],
)
def test_absence_that_forgets_who_is_gone_is_told_of(tmp_path: Path, head: str, told: list[str]) -> None:
    (tmp_path / "shop.yaml").write_text(f"{head}\n{SILENT}")
    words = {
        "sort": f"  silent: {ENDS}`targets: {{job: shop}}` fires on",
        "tts": f"  tts-silent: {ENDS}`{{promql: 'max by (cluster) (up{{job=\"...\"}}) == 0'}}` fires on",
        # No answer to one scrape is no sign there.
        "both": f"  silent and tts-silent: {ENDS}"
        "`{promql: 'max by (cluster) (max_over_time(up{job=\"...\"}[1h])) == 0'}` fires on",
    }
    found = [line for line in summary(plan(load(tmp_path / "shop.yaml"))) if "as if all were well" in line]
    assert found == [words[stage] for stage in told]


@pytest.mark.parametrize("unless", ["no_calls", "{promql: absent(shop_orders_total)}"])
def test_that_nobody_is_told_when_calls_stop_is_told(tmp_path: Path, unless: str) -> None:
    for signal, told in (("null_ratio", True), (unless, False)):
        (tmp_path / "speech.yaml").write_text(SPEECH.replace("signal: null_ratio", f"signal: {signal}"))
        words = "  nobody is told when calls stop: add a failure mode with `signal: no_calls`"
        assert (words in summary(plan(load(tmp_path / "speech.yaml")))) == told


@pytest.mark.parametrize(("times", "told"), [("for: 10s", True), ("for: 10s, window: 1m", False), ("for: 5m", False)])
def test_silence_that_is_told_later_than_its_for_is_told_of(tmp_path: Path, times: str, told: bool) -> None:
    (tmp_path / "shop.yaml").write_text(SILENT.replace("stage: sort, signal", f"stage: sort, {times}, signal"))
    words = "  silent: fires 5m10s after the last call; a shorter `window`, from 1m on, is sooner"
    assert (words in summary(plan(load(tmp_path / "shop.yaml")))) == told


@pytest.mark.parametrize(
    ("window", "above", "back"),
    [("30d", "5%", "30d"), ("14d", "5%", ""), ("3d12h", "2x last week", "")],
)
def test_what_looks_back_further_than_prometheus_keeps_samples_is_told_of(
    tmp_path: Path, window: str, above: str, back: str
) -> None:
    mode = f"signal: null_ratio, window: {window}, above: {above}"
    (tmp_path / "speech.yaml").write_text(SPEECH.replace("signal: null_ratio", mode))
    told = [line for line in summary(plan(load(tmp_path / "speech.yaml"))) if "retention" in line]
    words = f"  vad-cuts: looking back {back} takes --storage.tsdb.retention.time; Prometheus keeps 15d"
    assert told == ([words] if back else [])


@pytest.mark.parametrize(("apart", "told"), [("2m", True), ("1m", False)])
def test_a_sum_of_few_scrapes_is_told_of_once(tmp_path: Path, apart: str, told: bool) -> None:
    spec = f"scrape_interval: {apart}\n{SPEECH}".replace("signal: null_ratio", "signal: {cusum: null_ratio}, above: 2%")
    (tmp_path / "speech.yaml").write_text(spec)
    found = pipemon("check", "speech.yaml", cwd=tmp_path)
    words = "  vad-cuts: steps of 4m, with scrapes 2m apart, see 50% of the calls; scrape every 1m to see 75%"
    assert [line for line in found.out.splitlines() if "scrape" in line] == ([words] if told else [])
    assert found.code == 0


def test_what_nobody_thought_of_is_said_for_each_stage(tmp_path: Path) -> None:
    (tmp_path / "speech.yaml").write_text(SPEECH)
    told = pipemon("check", "speech.yaml", cwd=tmp_path)
    assert (told.code, told.err) == (0, "")
    assert told.out.splitlines() == [
        "speech.yaml: 4 failure modes, 3 with an alert",
        "  rude: not yet measurable: nobody has named a signal",
        "  nobody is told when calls stop: add a failure mode with `signal: no_calls`",
        "  no code says that vad's input.level is taken; name it by `code:`, or ask what runs with --url",
        "  no failure mode watches the stage tts",
        "  vad: nobody thought of software or quality failures",
        "  asr: nobody thought of input, output or quality failures, unless by rude, which can't be measured yet",
        "  of 3 stages are watched: software 1, input 1, output 1, quality 0",
        "  1 of 4 failure modes can't be measured yet",
        "  loud: in burn-in since 2026-11-20, told to nobody",
        "  asr-fails: in burn-in, told to nobody",
        "  vad 50 + asr 300 of 500 ms: 150 ms unassigned, for tts",
    ]


def test_what_the_file_leaves_open_is_said(tmp_path: Path) -> None:
    (tmp_path / "speech.yaml").write_text(SPEECH.replace("tts: {after: asr}", "tts: {}") + "baseline: b.json\n")
    told = pipemon("check", "speech.yaml", cwd=tmp_path).out.splitlines()
    assert "  tts: nobody says which stage is before it, by `after`, so none holds its alerts back" in told
    assert "  the baseline b.json is not there yet; `pipemon baseline` learns it" in told


def test_budgets_over_the_whole_end_with_2(tmp_path: Path) -> None:
    (tmp_path / "speech.yaml").write_text(SPEECH.replace("500ms", "340ms"))
    told = pipemon("check", "speech.yaml", cwd=tmp_path)
    assert (told.code, told.out) == (2, "")
    first, *_ = told.err.splitlines()
    assert first == "speech.yaml:2:9: budget: vad 50 + asr 300 of 340 ms: 10 ms more than there is [budget]"


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_strict_without_the_tools_says_that_they_did_not_judge(tmp_path: Path, tools: Path) -> None:
    (tmp_path / "speech.yaml").write_text(SPEECH)
    told = pipemon("check", "--strict", "speech.yaml", cwd=tmp_path)
    assert (told.code, told.err) == (0, "")
    assert "promtool check rules: not run, promtool is not on PATH" in told.out
    assert list(tools.iterdir()) == []


def test_strict_ends_with_1_and_the_tools_words_where_one_is_against_the_files(tmp_path: Path, tools: Path) -> None:
    (tmp_path / "speech.yaml").write_text(SPEECH)
    (tools / "promtool").write_text('#!/bin/sh\necho "$@: too old for this"\nexit 3\n')
    (tools / "promtool").chmod(0o755)
    told = pipemon("check", "--strict", "speech.yaml", cwd=tmp_path)
    assert (told.code, told.err) == (1, "")
    assert "promtool check rules: failed\ncheck rules rules/speech.rules.yml: too old for this" in told.out


@pytest.mark.integration
def test_strict_is_content_with_what_is_generated(tmp_path: Path) -> None:
    (tmp_path / "speech.yaml").write_text(SPEECH)
    told = pipemon("check", "--strict", "speech.yaml", cwd=tmp_path)
    assert (told.code, told.err) == (0, "")
    assert told.out.splitlines()[-3:] == [
        "promtool check rules: passed",
        "promtool test rules: passed",
        "amtool check-config: passed",
    ]
