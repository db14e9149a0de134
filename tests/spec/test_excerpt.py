"""Under each fault stands its line, with a caret under the word as a terminal shows it."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipemon.errors import Problem
from pipemon.spec.excerpt import excerpt, told


@pytest.mark.parametrize(
    ("line", "as_wide_as", "word"),
    [
        ("    stage: vat", "    stage: vat", "vat"),
        ("  a: {stage: vat}", "  a: {stage: vat}", "vat"),
        ("after: [vad, 'two words']", "after: [vad, 'two words']", "'two words'"),
        ("above: 5ms  # of a call", "above: 5ms  # of a call", "5ms"),
        ("code: app.speech:speech", "code: app.speech:speech", "app.speech:speech"),
        ("key: value", "key: value", "key"),
        ("  a: {what: 雑音が多い, stage: vat}", "  a: {what: zatsuongao, stage: vat}", "vat"),
        ("  a: {what: \uff4e\uff4f\uff49\uff53\uff45, stage: vat}", "  a: {what: no-oo-oise, stage: vat}", "vat"),
        ("  a: {what: n\u0303o, stage: vat}", "  a: {what: no, stage: vat}", "vat"),
        ("\tstage:\tvat", "\tstage:\tvat", "vat"),
        ("what: 'x\x1b[31m', stage: vat", "what: 'x?[31m', stage: vat", "vat"),
    ],
)
def test_the_caret_stands_under_the_word(line: str, as_wide_as: str, word: str) -> None:
    shown, caret = excerpt(line, line.index(word) + 1)
    before = re.sub(r"[^\t]", " ", as_wide_as[: as_wide_as.index(word)])
    assert caret == f"  {before}^{'~' * (len(word) - 1)}"
    assert shown == "  " + line.replace("\x1b", "\ufffd")


@pytest.mark.parametrize(
    ("text", "value", "underlined"),
    [
        ("above: 5 per cent  # of all\n", "5 per", "5 per cent"),
        ("a: {signal: mean of words, above: 3}\n", "mean", "mean of words"),
        ("two words: 3\n", "two", "two words"),
        ("what: it goes on\n  here\n", "it", "it goes on"),
        ("what: |\n  a block\n", "|", "|"),
        ("what: 雑音 が 多い\n", "雑音", "雑音 が 多い"),
        ("a: what is: no YAML\nb: [two words, c]\n", "two", "two"),
    ],
)
def test_a_whole_value_is_underlined(tmp_path: Path, text: str, value: str, underlined: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text, encoding="utf-8")
    at = text.index(value)
    line = text.count("\n", 0, at) + 1
    column = at - text.rfind("\n", 0, at)
    _, _, caret = told([Problem(str(path), line, column, "wrong", "type")])
    wide = sum(2 if unicodedata.east_asian_width(c) == "W" else 1 for c in underlined)
    assert caret == f"  {' ' * (column - 1)}^{'~' * (wide - 1)}"


def test_the_caret_is_as_wide_as_a_wide_word() -> None:
    assert excerpt("  雑音: x", 3) == ("    雑音: x", "    ^~~~")


def test_an_escape_of_the_terminal_in_a_file_is_not_sent_to_the_terminal() -> None:
    shown, _ = excerpt("what: \x1b]0;title\x07\x9b31m", 1)
    assert all(character.isprintable() for character in shown)


def test_a_long_line_is_cut_around_the_word() -> None:
    shown, caret = excerpt("x" * 500 + " vat " + "y" * 500, 502)
    assert len(shown) < 140
    assert shown[caret.index("^") :].startswith("vat")
    assert shown.startswith("  ...")
    assert shown.endswith("...")


def test_an_empty_line_is_not_shown() -> None:
    assert excerpt("", 1) == excerpt("   ", 2) == ()


def test_a_file_that_is_gone_leaves_the_message_alone() -> None:
    problem = Problem("no/such.yaml", 3, 1, "wrong", "type")
    assert list(told([problem])) == [str(problem)]


def test_the_mark_of_byte_order_moves_no_caret(tmp_path: Path) -> None:
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbfstage: vat\r\nnext: line\r\n")
    _, shown, caret = told([Problem(str(path), 1, 8, "wrong", "type")])
    assert (shown, caret) == ("  stage: vat", "         ^~~")


@given(
    line=st.text(st.characters(exclude_characters="\r\n\x85\u2028\u2029", codec="utf-8"), max_size=200),
    at=st.integers(1, 250),
)
def test_any_line_is_shown_on_one_line_with_one_caret(line: str, at: int) -> None:
    for text in (found := excerpt(line, at)):
        assert len(text.splitlines()) == 1
        assert all(character.isprintable() or character == "\t" for character in text)
    assert not found or re.fullmatch(r"[ \t]*\^~*", found[1])
