"""What the demo shows where there is no terminal, and on one."""

from __future__ import annotations

import io
import re

from rich.console import Console

from pipemon.demo.numbers import StageNumbers
from pipemon.demo.screen import Screen
from pipemon.demo.verdict import Row

VAD = StageNumbers("vad", 2.51, 0.0123, 0.0, None, (("audio_high_band_db", -21.34),))
ASR = StageNumbers("asr", None, None, None, 0.125, ())
ROW = Row("a [bold] fault", "slow-asr", 12.34, ("answer-too-late",), ended=True, resolved=None)


def shown(terminal: bool) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=100, _environ={"TERM": "xterm"})
    with Screen(console) as screen:
        screen._told -= 60
        screen.phase("Fault: too slow")
        screen.numbers([VAD, ASR], ["slow-asr pending"])
        screen.numbers([VAD, ASR], [])
        screen.notification("firing", f"FIRING critical [red] {'word ' * 40}end")
        screen.table([ROW])
        screen.verdict(["slow-asr did not resolve."])
        screen.verdict([])
    return out.getvalue()


def test_without_a_terminal_there_are_plain_lines_that_are_not_wrapped() -> None:
    lines = shown(terminal=False).splitlines()
    assert re.fullmatch(r" +\d\.\d s Fault: too slow", lines[0])
    assert lines[1].endswith(
        "vad: 2.5 calls/s, p95 12 ms, null 0%, redo -, audio_high_band_db -21.3 | "
        "asr: - calls/s, p95 -, null -, redo 12% | alerts: slow-asr pending"
    )
    assert "calls/s" not in "".join(lines[2:])
    assert lines[2].endswith(f"FIRING critical [red] {'word ' * 40}end")
    assert any(re.search(r"a \[bold\] fault.*slow-asr.*12\.3 s.*answer-too-late.*no", line) for line in lines)
    assert lines[-2] == "Failed: slow-asr did not resolve."
    assert "\x1b" not in "".join(lines)


def test_on_a_terminal_the_numbers_are_a_table_that_is_drawn_in_place() -> None:
    text = shown(terminal=True)
    assert "\x1b[31m" in text
    assert re.search(r"vad +2\.5 +12 ms +0% +- +audio_high_band_db -21\.3", re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text))
