"""Specs as large as anybody's: failure modes of every kind over a cascade of fifty stages."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

PIPELINE = "cascade"
STAGES = 50
_A_FILE = 1000
"""Failure modes a file: a spec of more is a folder of files, as several teams would write it."""

HEAD = f"""\
pipeline: {PIPELINE}
owner: cascade-team
runbook: https://wiki.example/cascade
budget: 5s
"""

# Once for each stage, the first that anybody thinks of: what it is about, the lines that say so.
ONCE = (
    ("corrected", "signal: {feedback: corrected}", "above: 8%"),
    ("errors", "signal: error_ratio", "above: 2%", "severity: page", "leads_to: [{stage}-corrected]"),
    ("nulls", "signal: null_ratio", "above: 5%", "severity: page"),
    ("slow", "signal: {latency: p99}", "above: budget", "severity: page"),
    ("sluggish", "signal: {latency: p50}", "above: 50ms"),
    ("silent", "signal: no_calls"),
    ("few-calls", "signal: throughput", "below: 0.5x last week"),
    ("redo", "signal: {feedback: redo}", "above: 2x last week"),
    ("lost-items", "signal: unaccounted_ratio", "above: 1%"),
    ("crowded", "signal: in_progress", "above: 64 calls"),
    ("busy", "signal: load", "above: 80%"),
    ("canary-nulls", "signal: {compare: null_ratio}", "above: 1.5x stable"),
    ("old-model", "signal: age", "above: 90d"),
)  # fmt: skip
# Then again and again, for one feature after another.
AGAIN = (
    ("low", "signal: {{mean: {feature}}}", "below: 20", "leads_to: [{stage}-redo]"),
    ("missing", "signal: {{missing_ratio: {feature}}}", "above: 10%"),
    ("off", "signal: {{mean: {feature}}}", "outside: [10, 90]", "pace: gradual"),
    ("shifted", "signal: {{mean: {feature}}}", "changes_by: 30", "from: 50", "severity: notice"),
    ("less", "signal: {{mean: {feature}}}", "below: 0.8x yesterday"),
    (
        "low-and-missing",
        "signals: {{all: [{{mean: {feature}, below: 30}}, {{missing_ratio: {feature}, above: 2%}}]}}",
    ),
)  # fmt: skip


def features(count: int) -> int:
    """Return how many features a stage has in a spec of so many failure modes."""
    return -(-max(0, -(-count // STAGES) - len(ONCE)) // 3)


def write_spec(folder: Path, count: int, scrape_interval: float = 15) -> Path:
    """Write a spec of `count` failure modes into a new folder, and return it; the interval is in seconds."""
    folder.mkdir(parents=True)
    modes = list(islice(_modes(), count))
    stages = "".join(_stage(number, features(count)) for number in range(STAGES))
    for part in range(0, count, _A_FILE):
        text = f"pipeline: {PIPELINE}\n" if part else f"{HEAD}scrape_interval: {scrape_interval:g}s\nstages:\n{stages}"
        body = "failure_modes:\n" + "".join(modes[part : part + _A_FILE])
        (folder / f"part-{part // _A_FILE:02}.yaml").write_text(text + body, encoding="utf-8")
    return folder


def stage_name(number: int) -> str:
    """Return the name of a stage, from 0 on."""
    return f"stage-{number:02}"


def feature_name(number: int) -> str:
    """Return a feature as `direction.name`: inputs and outputs in turn."""
    return f"{('input', 'output')[number % 2]}.number_{number}"


def _stage(number: int, feature_count: int) -> str:
    after = f"after: {stage_name(number - 1)}, " if number else ""
    units = ", ".join(f"{feature_name(each)}: items" for each in range(feature_count))
    return f"  {stage_name(number)}: {{{after}budget: 100ms, one_to_one: true, features: {{{units}}}}}\n"


def _modes() -> Iterator[str]:
    """Yield failure modes, the first of every stage before the second of any."""
    for kind, *lines in ONCE:
        for number in range(STAGES):
            yield _mode(number, kind, [line.replace("{stage}", stage_name(number)) for line in lines])
    for index, (kind, *lines) in enumerate(cycle(AGAIN)):
        feature = feature_name(index // 3)
        for number in range(STAGES):
            yield _mode(
                number,
                f"{kind}-{index // 3}-{index}",
                [line.format(feature=feature, stage=stage_name(number)) for line in lines],
            )


def _mode(number: int, kind: str, lines: list[str]) -> str:
    stage = stage_name(number)
    said = (
        f"what: What the team calls {kind.replace('-', ' ')} in the step number {number}",
        f"stage: {stage}",
        *lines,
        "do: Look at what was released last, and roll it back where that helps.",
    )
    return f"  {stage}-{kind}:\n" + "".join(f"    {line}\n" for line in said)
