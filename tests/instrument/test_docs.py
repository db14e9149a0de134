"""The snippets in docs/stages.md run as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

SNIPPETS = re.findall(
    r"```python\n(.*?)```", (Path(__file__).parents[2] / "docs" / "stages.md").read_text(encoding="utf-8"), re.DOTALL
)


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_a_snippet_runs(snippet: str) -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", snippet], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
