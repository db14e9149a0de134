"""What Prometheus has of scores, feedback and alerts, read back: which slice is served worst, which alert to prune."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from past import BEGIN, STEP, Values, blocks
from real_servers import running_prometheus

from pipemon.cli import cli
from pipemon.prometheus import Prometheus

pytestmark = pytest.mark.integration

SPEC = """\
pipeline: past
stages: {hear: {budget: 50ms}, write: {after: hear, budget: 300ms}}
failure_modes:
  deaf: {what: it hears nothing, stage: hear, signal: null_ratio}
  mute: {what: it writes nothing, stage: write, signal: null_ratio}
  slow: {what: it takes long, stage: write, signal: {latency: p95}}
"""
STEPS = 240
WRITE = 'pipeline="past",stage="write",version="1",track="stable"'


def counted(rate: float) -> list[float | None]:
    return [step * rate for step in range(STEPS + 1)]


def told() -> Values:
    """An hour: of 10 scores a step 3 are of the young, 0.3 on average instead of 0.1; half of them ask again."""
    found: dict[str, list[float | None]] = {}
    for name, count, mean, redo in (("", 10.0, 0.16, 2.2), ("age=young", 3.0, 0.3, 1.5), ("age=old", 7.0, 0.1, 0.7)):
        of = f'{WRITE},slice="{name}"'
        for le, share in (("0.05", 0.2), ("0.2", 0.6), ("0.5", 1.0), ("+Inf", 1.0)):
            found[f'pipemon_quality_score_bucket{{{of},score="wer",le="{le}"}}'] = counted(count * share)
        found[f'pipemon_quality_sum_total{{{of},score="wer",sign="positive"}}'] = counted(count * mean)
        found[f'pipemon_quality_sum_total{{{of},score="wer",sign="negative"}}'] = counted(0)
        found[f'pipemon_feedback_total{{{of},signal="accepted"}}'] = counted(count - redo)
        found[f'pipemon_feedback_total{{{of},signal="redo"}}'] = counted(redo)
    firing: list[float | None] = [1.0 if 40 <= step < 80 or 120 <= step < 200 else None for step in range(STEPS + 1)]
    for stage, mode in (("hear", "deaf"), ("write", "mute")):
        which = f'alertname="{mode}",alertstate="firing",pipeline="past",stage="{stage}",failure_mode="{mode}"'
        found[f"ALERTS{{{which}}}"] = firing
    return found


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("prometheus")
    blocks(told(), folder / "data")
    with running_prometheus("{}", folder) as prometheus:
        yield prometheus


def run(command: str, prometheus: Prometheus, folder: Path) -> list[str]:
    (folder / "past.yaml").write_text(SPEC)
    asked = [command, str(folder / "past.yaml"), "--url", prometheus.url, "--to", str(BEGIN + STEPS * STEP)]
    found = CliRunner().invoke(cli, [*asked, "--days", str(STEPS * STEP / 86400)])
    assert found.exit_code == 0, found.output
    return found.stdout.splitlines()


def test_slices_are_ranked_by_what_is_to_be_won(kept: Prometheus, tmp_path: Path) -> None:
    lines = run("slices", kept, tmp_path)
    scores, shares = (
        lines.index("  write: wer, less is better"),
        lines.index("  write: feedback that is not good, less is better"),
    )
    young = lines[scores + 2].split()
    # 30% of the scores, 0.2 worse than the old.
    assert (young[0], young[1], young[3]) == ("age=young", "30.0%", "0.3")
    assert lines[scores + 2].endswith(" 0.2  0.06")
    assert lines[scores + 3].endswith("best")
    assert lines[scores + 4] == "    collect more of age=young"
    # 30% of what was told, of which half is not good instead of a tenth.
    young = lines[shares + 2].split()
    assert (young[0], young[1], young[3]) == ("age=young", "30.0%", "0.5")
    assert lines[shares + 2].endswith(" 0.4  0.12")


def test_a_review_of_what_fired(kept: Prometheus, tmp_path: Path) -> None:
    lines = run("review", kept, tmp_path)
    assert lines[1] == "  never fired: slow"
    # 10 and 20 minutes, and each time the lookback: imported series have no mark where they end.
    assert "    deaf: 2 times, 336 a week, 40m in all" in lines
    assert lines[-2] == "  always fired together:"
    assert lines[-1].startswith("    deaf and mute: ")
