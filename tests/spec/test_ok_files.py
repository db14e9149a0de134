"""Every file in `ok/` is read as the text beside it says: add a .yaml and a .out, get a test.

`PIPEMON_GOLDEN=write pytest tests/spec/test_ok_files.py` writes the texts; read them before you keep them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipemon.spec.load import load
from pipemon.spec.model import Condition, FailureMode, Spec
from pipemon.units import duration

OK = Path(__file__).parent / "ok"


def words(spec: Spec) -> Iterator[str]:
    """Say all that was resolved, a line each."""
    yield f"pipeline {spec.pipeline} of {spec.owner}, scraped every {duration(spec.timing.scrape_interval)}"
    for name in ("runbook", "select", "keep", "targets", "baseline", "severity_words"):
        if (value := getattr(spec, name)) and value != getattr(Spec, name, None):
            yield f"{name}: {value}"
    if spec.schedule:
        yield f"a run every {duration(spec.schedule.period)}, at most {duration(spec.schedule.grace)} late"
    if spec.link:
        yield f"a link that may be cut for {duration(spec.link)}"
    if spec.budget:
        yield f"budget: {duration(spec.budget)}"
    for stage in spec.stages:
        budget = f" in {duration(stage.budget)}" if stage.budget else ""
        after = "unsaid" if stage.after is None else ", ".join(stage.after) or "nothing"
        features = "".join(f"; {f.direction}.{f.name} ({f.short}) in {f.unit or '?'}" for f in stage.features)
        feedback = f"; feedback {', '.join(stage.feedback)}" if stage.feedback else ""
        yield f"stage {stage.name}{budget} after {after}{features}{feedback}"
        for own in stage.series:
            bounds = f" with bounds {stage.duration_bounds}" if own.key == "duration" else ""
            yield f"  {own.key}: {own.name} {own.matchers}{bounds}"
    for mode in spec.failure_modes:
        yield ""
        yield from _mode(mode)


def _mode(mode: FailureMode) -> Iterator[str]:
    yield f"{mode.name}: {mode.what!r}"
    for name in (
        "stage",
        "do",
        "runbook",
        "labels",
        "observe",
        "observe_since",
        "leads_to",
        "waiting",
        "fires_on",
        "quiet_on",
    ):
        if value := getattr(mode, name):
            yield f"  {name}: {value!r}"
    if mode.then:
        yield f"  then: {mode.then.words}"
    if not mode.conditions:
        return
    given = "given" if mode.for_given else "default"
    yield f"  {mode.severity} to {mode.owner}, {mode.kind}, {mode.pace}"
    yield f"  over {duration(mode.window)} for {duration(mode.for_)} ({given})"
    for condition in mode.conditions:
        yield f"  {'and' if mode.combine == 'all' else 'or'} {_condition(condition)}"


def _condition(condition: Condition) -> str:
    feature = f" {condition.feature.direction}.{condition.feature.name}" if condition.feature else ""
    argument = f" {condition.argument}" if condition.argument else ""
    threshold = ""
    if condition.threshold:
        good = f"{condition.threshold.low} to {condition.threshold.high}"
        threshold = f" {condition.threshold.words} (good: {good})"
    least = {"observations": condition.min_count, "bad ones": condition.min_events}
    needs = " and ".join(f"{number} {what}" for what, number in least.items() if number)
    return f"{condition.signal}{argument}{feature}{threshold}" + (f", at least {needs}" if needs else "")


@pytest.mark.parametrize("path", sorted(OK.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_file_is_read_as_it_is_meant(path: Path) -> None:
    read = "\n".join(words(load(path))) + "\n"
    golden = path.with_suffix(".out")
    if os.environ.get("PIPEMON_GOLDEN") == "write":
        golden.write_text(read, encoding="utf-8")
    assert read == golden.read_text(encoding="utf-8")


def test_no_expectation_is_left_without_its_file() -> None:
    assert {path.stem for path in OK.glob("*.out")} == {path.stem for path in OK.glob("*.yaml")}


def test_reading_twice_gives_the_same() -> None:
    assert load(OK / "design.yaml") == load(OK / "design.yaml")
