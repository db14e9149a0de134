"""What `pipemon watch` draws, as text: the broken stage stands out without any colour."""

from __future__ import annotations

import io
import time
from dataclasses import replace
from math import inf, nan

import pytest
from rich.console import Console

from pipemon.watch.frame import frame
from pipemon.watch.reading import Alert
from pipemon.watch.state import Mean, Numbers, PipelineState, StageState, State

WELL = Numbers(12.34, 0.0, 0.001, 0.0021, 0.0412, 0.05, 1)
CUTS = replace(WELL, null_ratio=0.97)
SLOW = replace(WELL, p99=inf, budget=0.3, p50=0.2)
SILENT = Numbers(0.0, nan, nan, nan, nan, None, 0)
RUNS = Numbers(12.34, 0.004, nan, 0.12, 0.41, 0.5, 3)
FIRING = Alert("speech", "vad", "vad-cuts-everything", "critical", "firing", since=1000.0)
PENDING = Alert("speech", "asr", "slow-asr", "warning", "pending", since=1190.0)
OF_ALL = Alert("speech", "", "answer-too-late", "critical", "firing")


def stage(name: str, depth: int, numbers: Numbers = WELL, *, after: tuple[str, ...] = (), broken: bool = False,
          alerts: tuple[Alert, ...] = (), means: tuple[Mean, ...] = ()) -> StageState:  # fmt: skip
    return StageState(name, after, depth, numbers, means, alerts, broken)


def pipeline(*stages: StageState, runs: Numbers = RUNS, alerts: tuple[Alert, ...] = ()) -> PipelineState:
    return PipelineState("speech", runs, stages, alerts)


def drawn(
    *pipelines: PipelineState, width: int = 120, height: int | None = None, ascii_only: bool = False, trouble: str = ""
) -> list[str]:
    state = State(pipelines, 1234.0, 60.0, "http://here/metrics", "Somebody says so.", trouble)
    out = io.StringIO()
    Console(file=out, width=width, no_color=True, force_terminal=False).print(frame(state, width, height, ascii_only))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_a_healthy_cascade_is_one_line_a_stage_and_says_that_nothing_fires() -> None:
    level = Mean("level_dbfs", -43.21, "dBFS")
    lines = drawn(pipeline(stage("vad", 0, means=(level,)), stage("asr", 1, after=("vad",))))
    assert lines[:5] == [
        "speech  12.3 runs/s, 0.4% failed, p50 120 ms, p99 410 ms of 500 ms, 3 running",
        "Nothing fires.",
        "Stage    Calls/s  Errors  Null     p50               p99  Running  Means",
        "  vad       12.3      0%  0.1%  2.1 ms  41.2 ms of 50 ms        1  level_dbfs -43.21 dBFS",
        "  └─asr     12.3      0%  0.1%  2.1 ms  41.2 ms of 50 ms        1",
    ]
    assert lines[-1].endswith("over 1m, from http://here/metrics. Somebody says so.")


def test_the_broken_stage_has_a_mark_and_alerts_tell_since_when() -> None:
    vad = stage("vad", 0, CUTS, broken=True, alerts=(FIRING,))
    asr = stage("asr", 1, SLOW, after=("vad",), alerts=(PENDING,))
    lines = drawn(pipeline(vad, asr, alerts=(FIRING, OF_ALL, PENDING)))
    assert lines[1:4] == [
        "FIRING critical vad/vad-cuts-everything for 3m54s",
        "FIRING critical answer-too-late",
        "pending warning asr/slow-asr for 44s",
    ]
    assert lines[5].startswith("▶ vad")
    assert "97%" in lines[5]
    assert lines[6].startswith("! └─asr")
    assert "200 ms  very long of 300 ms" in lines[6]


def test_a_stage_without_calls_says_so() -> None:
    assert "no calls       -     -    -    -        0" in drawn(pipeline(stage("vad", 0, SILENT)))[3]


def test_a_stage_that_is_gone_says_so_and_is_not_left_out() -> None:
    gone = replace(stage("vad", 0, replace(SILENT, per_second=nan, in_progress=nan)), gone=True)
    lines = drawn(pipeline(gone, stage("asr", 1)))
    assert lines[3].split()[:3] == ["vad", "no", "data"]
    assert lines[0].startswith("speech  12.3 runs/s")
    assert drawn(pipeline(gone))[0] == "speech  no data"
    lines = drawn(pipeline(*[stage(f"s{i}", 0) for i in range(9)], gone), height=8)
    assert any("no data" in line for line in lines)


def test_a_stage_after_several_names_them() -> None:
    stages = (
        stage("a", 0),
        stage("b", 1, after=("a",)),
        stage("c", 1, after=("a",)),
        stage("d", 2, after=("b", "c")),
    )
    names = [line.partition("  12.3")[0].rstrip() for line in drawn(pipeline(*stages))[3:7]]
    assert names == ["  a", "  └─b", "  └─c ← a", "    └─d ← b, c"]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_a_line_is_never_wider_than_the_terminal(width: int) -> None:
    means = tuple(Mean(f"feature_{i}", 0.1, "ratio") for i in range(9))
    lines = drawn(pipeline(stage("a_stage_with_a_rather_long_name", 0, means=means), stage("b", 1)), width=width)
    assert max(map(len, lines)) <= width
    assert any("feature_0" in line for line in lines) == (width >= 120)


def test_of_means_and_of_runs_only_what_has_room_is_told_and_no_half_number() -> None:
    means = (Mean("level_dbfs", -43.21, "dBFS"), Mean("words", 2.5, "words"))
    seen = set()
    for width in range(60, 120):
        head, *lines = drawn(pipeline(stage("vad", 0, means=means)), width=width)
        assert head.endswith(("p99 410 ms of 500 ms", "p99 410 ms of 500 ms, 3 running"))
        (told,) = [line.partition("50 ms")[2].partition("level")[2] for line in lines if "vad" in line]
        assert ("Means" in "".join(lines)) == bool(told)
        seen.add(told)
    assert seen == {"", "_dbfs -43.21 dBFS, …", "_dbfs -43.21 dBFS, words 2.5"}


def test_in_60_columns_the_names_of_stages_are_whole_and_the_median_and_the_budget_are_not_told() -> None:
    stages = (stage("receive", 0), stage("screen_for_sanctions", 1, CUTS, after=("receive",), broken=True))
    lines = drawn(pipeline(*stages), width=60)
    (titles,) = [line.split() for line in lines if line.startswith("Stage")]
    assert titles == ["Stage", "Calls/s", "Errors", "Null", "p99"]
    (broken,) = [line for line in lines if line.startswith("▶")]
    assert broken.split() == ["▶", "└─screen_for_sanctions", "12.3", "0%", "97%", "41.2", "ms"]


def test_in_80_columns_a_long_name_is_told_before_the_median_and_every_number_is_whole() -> None:
    lines = drawn(pipeline(stage("a_stage_with_a_rather_long_name", 0, CUTS)), width=80)
    numbers = ["12.3", "0%", "97%", "41.2", "ms", "of", "50", "ms"]
    assert lines[3].split() == ["a_stage_with_a_rather_long_name", *numbers]


def test_of_what_a_stage_comes_after_nothing_is_left_that_says_none() -> None:
    speak = replace(stage("speak", 2), after=("vad", "translate"))
    for width in range(56, 80):
        lines = drawn(pipeline(stage("vad", 0), stage("translate", 1), speak), width=width)
        assert not any(line.split("  12.3")[0].rstrip().endswith(("←…", "← …", "k …")) for line in lines), lines


def test_where_there_are_few_lines_the_stages_that_are_well_go_first() -> None:
    stages = [stage(f"s{i}", 0) for i in range(30)]
    stages[25] = stage("s25", 0, CUTS, broken=True, alerts=(FIRING,))
    lines = drawn(pipeline(*stages, alerts=(FIRING,)), height=20)
    assert len(lines) <= 20
    assert any(line.startswith("▶ s25") for line in lines)
    assert "  and 16 more stages, with nothing wrong" in lines
    # Whose word it is goes before a stage does.
    assert any("s1" in line for line in drawn(pipeline(stage("s1", 0)), height=6, width=60))


def test_only_ascii_where_the_terminal_has_no_more() -> None:
    stages = (stage("a", 0, CUTS, broken=True), stage("b", 1, after=("x", "a")))
    lines = drawn(pipeline(*stages), ascii_only=True)
    assert all(line.isascii() for line in lines)
    assert (lines[2][0], "`-b <- x, a" in lines[3]) == (">", True)


def test_what_could_not_be_read_is_said_under_what_was_seen_last() -> None:
    lines = drawn(pipeline(stage("vad", 0)), trouble="it can't be reached")
    assert f"Nothing new since {time.strftime('%H:%M:%S', time.localtime(1234))}: it can't be reached" in lines
    assert any("vad" in line for line in lines)


def test_no_pipeline_is_said() -> None:
    assert drawn()[0] == "There is no pipeline here that pipemon measures."


def test_words_of_others_are_no_markup() -> None:
    lines = drawn(pipeline(stage("[red]vad[/red]", 0)))
    assert "[red]vad[/red]" in lines[3]
