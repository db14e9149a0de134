"""Every file in `bad/` is refused with the text beside it: add a .yaml and a .out, get a test.

`PIPEMON_GOLDEN=write pytest tests/spec/test_bad_files.py` writes the texts; read them before you keep them.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipemon.errors import SpecError
from pipemon.spec.load import load

BAD = Path(__file__).parent / "bad"


@pytest.mark.parametrize("path", sorted(BAD.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_fault_is_told_where_it_stands(path: Path) -> None:
    with pytest.raises(SpecError) as refused:
        load(path)
    told = "\n".join(str(problem).replace(f"{BAD}/", "") for problem in refused.value.problems) + "\n"
    golden = path.with_suffix(".out")
    if os.environ.get("PIPEMON_GOLDEN") == "write":
        golden.write_text(told, encoding="utf-8")
    assert told == golden.read_text(encoding="utf-8")
    assert refused.value.exit_code == 2


def test_no_expectation_is_left_without_its_file() -> None:
    assert {path.stem for path in BAD.glob("*.out")} == {path.stem for path in BAD.glob("*.yaml")}
