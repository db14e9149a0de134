"""The writer of YAML: any data comes back as it was, and looks as PyYAML would have written it."""

from __future__ import annotations

import sys

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pipemon.generate.formats.yamltext import dump, listed

_SIGNS = [
    *" :#-'\"\n?{}[]&*!|>%@`=~.,0123exyn\t\\\r\x85\u2028\ufeffé漢😀",
    "---", "...", "true", "No", "null", "1e3", "0x1F", "2001-01-01", "1:30", "{{ $value }}", "a b", ": ", " #", "- ",
]  # fmt: skip
_TEXTS = st.lists(st.sampled_from(_SIGNS), max_size=8).map("".join) | st.text(max_size=20)
_NAMES = st.text(alphabet="abyn_.-/:019 #{'", min_size=1, max_size=10)
_VALUES = _TEXTS | st.integers() | st.floats(allow_nan=False) | st.booleans() | st.none()


def _or_more(inside: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.lists(inside, max_size=4) | st.dictionaries(_NAMES, inside, max_size=4)


_DATA = _or_more(st.recursive(_VALUES, _or_more, max_leaves=15))


class _AsPyYAML(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    """Literal where that needs no hints, else in quotes where there is a line break of any kind."""
    literal = "\n" in value and value.strip("\n").lstrip(" ") == value and not set(value) & {*"\x85\u2028\u2029"}
    broken = len(f"-{value}-".splitlines()) > 1
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if literal else '"' if broken else None)


_AsPyYAML.add_representer(str, _text)


@settings(max_examples=100)
@given(_DATA)
def test_any_data_comes_back_and_is_written_as_pyyaml_writes_it(data: object) -> None:
    text = dump(data)
    assert yaml.safe_load(text) == data
    assert text == yaml.dump(
        data, Dumper=_AsPyYAML, sort_keys=False, allow_unicode=True, width=sys.maxsize, default_flow_style=False
    )


@settings(max_examples=50)
@given(_DATA, st.integers(1, 8))
def test_what_is_written_further_in_is_the_same(data: object, depth: int) -> None:
    assert yaml.safe_load(f"{' ' * (depth - 1)}a:\n{dump(data, depth)}") == {"a": data}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("up == 0\nand\nup", "a: |-\n  up == 0\n  and\n  up\n"),
        ("5% of calls: too many", "a: '5% of calls: too many'\n"),
        ("0+1x5", "a: 0+1x5\n"),
        ("12", "a: '12'\n"),
        ("", "a: ''\n"),
        ([], "a: []\n"),
        ((1, [2.5]), "a:\n  - 1\n  - - 2.5\n"),
        ([{"b": None, "c": {}}], "a:\n  - b: null\n    c: {}\n"),
    ],
)
def test_each_kind_of_value_has_one_form(value: object, text: str) -> None:
    assert dump({"a": value}) == text


def test_a_list_has_its_comments_above_its_entries() -> None:
    entries = [("first\nof two", {"a": 1, "b": [2]}), ("", "c")]
    assert listed(entries, 2) == "  # first\n  # of two\n  - a: 1\n    b:\n      - 2\n  - c\n"
