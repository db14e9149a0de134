"""The snippets in the documents on the runtime run as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
SNIPPETS = [
    pytest.param(snippet, id=f"{name}-{number}")
    for name in ("stages.md", "feedback.md")
    for number, snippet in enumerate(
        re.findall(r"```python\n(.*?)```", (DOCS / name).read_text(encoding="utf-8"), re.DOTALL), start=1
    )
]


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_a_snippet_runs_without_a_warning(snippet: str) -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", snippet], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
