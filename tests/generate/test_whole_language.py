"""The page that shows the whole language makes rules that do what their tests say, judged by promtool."""

from __future__ import annotations

from pathlib import Path

import pytest
from rule_subsets import failing_modes

from pipemon.generate.rules import rules
from pipemon.spec.load import load

PAGE = Path(__file__).parents[1] / "spec" / "ok" / "design.yaml"


@pytest.mark.integration
def test_each_failure_mode_fires_stays_quiet_and_resolves(tmp_path: Path) -> None:
    spec = load(PAGE)
    assert [mode.name for mode in spec.failure_modes if mode.waiting] == ["nobody-knows-how-to-measure-this"]
    assert failing_modes(rules(spec), tmp_path) == {}
