"""The writer of JSON: what it writes is what the standard library would."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from pipemon.generate.formats.jsontext import dump

_VALUES = st.text(max_size=10) | st.integers() | st.floats() | st.booleans() | st.none()
_DATA = st.recursive(
    _VALUES, lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(max_size=5), inside, max_size=4)
)


@settings(max_examples=100)
@given(_DATA)
def test_any_data_is_written_as_the_standard_library_writes_it(data: object) -> None:
    assert dump(data) == json.dumps(data, indent=2, ensure_ascii=False) + "\n"
