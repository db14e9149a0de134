"""The benchmark runs from a checkout."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "overhead.py"


def test_the_benchmark_compares_four_variants_of_the_same_call(capsys: pytest.CaptureFixture[str]) -> None:
    names = runpy.run_path(str(BENCHMARK))
    names["main"].__globals__.update(CALLS=200, ROUNDS=1)
    names["main"]()
    lines = capsys.readouterr().out.splitlines()
    variants = ["bare", "wrapper that only times", "pipemon", "prometheus_client by hand"]
    assert [line.strip().partition("  ")[0] for line in lines] == ["sync", *variants, "async", *variants]
    assert all("1.00x" in line for line in lines if "pipemon " in line and "added" not in line)
