"""YAML becomes plain values that know where they stand."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipemon.errors import Problem, SpecError, nearest
from pipemon.spec.reader import Items, Mapping, Scalar, kind, parse, read, shown


def value(text: str) -> Scalar:
    node = parse(f"key: {text}", "t.yaml").get("key")
    assert isinstance(node, Scalar)
    return node


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("5", 5), ("-5", -5), ("+5", 5), ("1_000", 1000), ("0.5", 0.5), (".5", 0.5), ("1e-3", 0.001), ("5E2", 500.0),
        ("'5'", "5"), ("no", False), ("Yes", True), ("on", True), ("off", False), ("null", None), ("~", None),
        ("1:30", "1:30"), ("12:30:45.5", "12:30:45.5"), ("2024-01-02", "2024-01-02"), ("5%", "5%"), ("0x1F", "0x1F"),
        ("1e", "1e"), ("5m", "5m"), (".inf", ".inf"), ("=", "="), ("9" * 5000, "9" * 5000),
    ],
)  # fmt: skip
def test_a_value_is_what_people_mean_by_it(text: str, meant: object) -> None:
    found = value(text)
    assert (type(found.value), found.value) == (type(meant), meant)
    assert found.text == text.strip("'")


def test_everything_knows_its_line_and_column_counted_from_one() -> None:
    root = parse("# first\nstages:\n  vad: {after: [mic, asr]}\nümlaut: ß\n", "t.yaml")
    stages = root.get("stages")
    assert isinstance(stages, Mapping)
    vad = stages.get("vad")
    assert isinstance(vad, Mapping)
    after = vad.get("after")
    assert isinstance(after, Items)
    assert [(item.line, item.column) for item in after.items] == [(3, 17), (3, 22)]
    assert (after.line, after.column) == (3, 16)
    assert (root.key("ümlaut").line, root.key("ümlaut").column) == (4, 1)
    with pytest.raises(KeyError):
        root.key("asr")


def test_what_is_left_out_stands_at_its_key() -> None:
    left_out = parse("a: {b: 1}\nc  :   # nothing\n\nd: 5\n", "t.yaml").get("c")
    assert left_out == Scalar(None, "", 2, 1)


def test_keys_are_texts_whatever_they_look_like() -> None:
    root = parse("{no: 1, 5: 2, 1.5: 3, ~: 4, 2024-01-01: 5}", "t.yaml")
    assert [name for name, _, _ in root] == ["no", "5", "1.5", "~", "2024-01-01"]


def test_merged_keys_fill_in_what_is_not_written() -> None:
    root = parse("a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\nc: {<<: [*a, *b], x: 5}\n", "t.yaml")
    c = root.get("c")
    assert isinstance(c, Mapping)
    assert {name: node.value for name, _, node in c if isinstance(node, Scalar)} == {"x": 5, "y": 2, "z": 4}


def test_windows_files_and_byte_order_marks_are_text(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_bytes(b"\xef\xbb\xbfpipeline: speech\r\nowner: team\r\n")
    root = read(path)
    assert root.get("owner") == Scalar("team", "team", 2, 8)
    assert root.get("pipeline") is not None


def test_a_file_that_cannot_be_read_is_a_problem_of_that_file(tmp_path: Path) -> None:
    def told(path: Path) -> str:
        with pytest.raises(SpecError) as refused:
            read(path)
        return refused.value.problems[0].message

    assert told(tmp_path) == "cannot read the file: is a directory"
    assert told(tmp_path / "none.yaml") == "cannot read the file: no such file or directory"
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * 1_000_001)
    assert "larger than 1 MB" in told(large)


@given(
    st.recursive(
        st.text(max_size=8), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner)
    )
)
def test_what_yaml_writes_is_read_back(document: object) -> None:
    def plain(node: Mapping | Items | Scalar) -> object:
        if isinstance(node, Mapping):
            return {name: plain(inner) for name, _, inner in node}
        return [plain(item) for item in node.items] if isinstance(node, Items) else node.text

    text = yaml.safe_dump({"root": document})
    root = parse(text, "t.yaml").get("root")
    assert root is not None
    assert plain(root) == document


def test_a_long_or_strange_text_is_shown_short_and_on_one_line() -> None:
    assert shown("a\nb") == r"'a\nb'"
    assert len(shown("x" * 10_000)) < 70
    assert kind(Scalar("x" * 10_000, "x" * 10_000, 1, 1)).endswith("...'")


def test_problems_are_told_once_and_in_the_order_of_the_file() -> None:
    late, early = Problem("a.yaml", 20, 1, "b", "r"), Problem("a.yaml", 3, 7, "a", "r")
    error = SpecError([late, early, late])
    assert str(error) == "a.yaml:3:7: a [r]\na.yaml:20:1: b [r]"


def test_the_nearest_name_is_suggested_whatever_its_case() -> None:
    assert nearest("VAD", ["asr", "vad"]) == "; did you mean 'vad'?"
    assert nearest("asrr", ["ASR", "vad"]) == "; did you mean 'ASR'?"
    assert nearest("something else", ["asr", "vad"]) == ""
    assert nearest("a" * 100_000, ["a" * 99_999]) == ""
