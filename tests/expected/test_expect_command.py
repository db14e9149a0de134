"""`pipemon expect`: a change that was announced stands beside the failure modes, until a baseline accepts it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pytest
from click.testing import CliRunner, Result

from pipemon.cli import cli
from pipemon.errors import SpecError
from pipemon.generate.dashboards.pipeline import dashboard
from pipemon.generate.inhibition import plan
from pipemon.generate.lint.findings import lint
from pipemon.spec.load import load

SPEC = """\
pipeline: plates
baseline: plates.baseline.json
stages:
  crop: {budget: 50ms, features: {input.level: dB, output.size: bytes}}
  sort: {after: crop, budget: 50ms, features: {input.size: bytes}}
failure_modes:
  darker: {what: it is darker, stage: crop, signal: {mean: input.level}, changes_by: 3 sd}
  too-dark: {what: it is too dark, stage: crop, signal: {mean: input.level}, below: 5}
  smaller: {what: they are smaller, stage: sort, signal: {mean: input.size}, changes_by: 3 sd}
  empty: {what: nothing is found, stage: crop, signal: null_ratio}
"""


def baseline(start: float) -> str:
    features = {name: {"mean": 20, "sd": 2, "count": 500} for name in ("crop.input.level", "sort.input.size")}
    return json.dumps({"pipeline": "plates", "from": start, "to": start + 3600, "features": features})


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "plates.yaml").write_text(SPEC)
    (tmp_path / "plates.baseline.json").write_text(baseline(1_000_000))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "plates.yaml"


def changes(**other: str) -> str:
    usual = {"what": "x", "stage": "crop", "from": "2026-01-02", "to": "2026-01-03"}
    return json.dumps({"changes": [usual | other]})


def marks(file: Path) -> list[dict[str, str]]:
    return cast("dict[str, dict[str, list[dict[str, str]]]]", dashboard(load(file)))["annotations"]["list"]


def expect(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["expect", *arguments])


def test_a_change_is_kept_beside_the_failure_modes_and_holds_the_stages_drift_alerts(file: Path) -> None:
    told = expect("new screens", "--stage", "crop", "--from", "2026-02-01T06:00:00Z")
    assert told.exit_code == 0, told.output
    assert told.stdout.splitlines()[-1] == "Next: pipemon generate plates.yaml, which marks it and holds darker"
    assert json.loads((file.parent / "plates.expected.json").read_text()) == {
        "changes": [
            {"what": "new screens", "stage": "crop", "from": "2026-02-01T06:00:00Z", "to": "2026-02-15T06:00:00Z"}
        ]
    }
    assert expect().stdout.splitlines() == [
        "plates: new screens at crop, 2026-02-01T06:00:00Z to 2026-02-15T06:00:00Z",
        "  holds darker",
    ]


def test_announced_again_it_is_changed_and_others_stay(file: Path) -> None:
    expect("new lamps", "--stage", "sort", "--from", "2026-03-01T00:00:00Z")
    expect("new screens", "--stage", "crop", "--from", "2026-02-01T00:00:00Z")
    expect("new lamps", "--stage", "sort", "--from", "2026-01-01T00:00:00Z", "--to", "2026-01-02T00:00:00Z")
    changes = load(file).expected
    assert [(each.what, each.end - each.start) for each in changes] == [("new lamps", 86400), ("new screens", 1209600)]


def test_the_dashboard_marks_it_and_the_generated_files_are_in_order(file: Path) -> None:
    before = marks(file)
    expect('"new" screens', "--stage", "crop")
    after = marks(file)
    assert after[: len(before)] == before
    (mark,) = after[len(before) :]
    assert mark["name"] == 'crop: "new" screens'
    assert mark["expr"] == 'pipemon:expected:change{pipeline="plates",stage="crop",change="\\"new\\" screens"}'
    assert not list(lint([plan(load(file))]))


def test_a_baseline_that_begins_after_the_change_accepts_it(file: Path) -> None:
    expect("new screens", "--stage", "crop", "--from", "2026-02-01T06:00:00Z")
    change = load(file).expected[0]
    (file.parent / "plates.baseline.json").write_text(baseline(change.start))
    assert load(file).expected[0].accepted
    assert expect().stdout.splitlines()[1] == "  accepted: the baseline begins after it, and holds nothing any more"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["new screens"], "say whose it is: --stage (there are crop, sort)"),
        (["new screens", "--stage", "corp"], "there is no stage 'corp'; did you mean 'crop'? (there are crop, sort)"),
        (["x", "--stage", "crop", "--from", "20", "--to", "10"], "the change ends before it begins"),
        (["x", "--stage", "crop", "--from", "soon"], "'soon' is not a time"),
    ],
)
def test_what_is_not_understood_is_told_and_nothing_is_written(file: Path, arguments: list[str], told: str) -> None:
    found = expect(*arguments)
    assert found.exit_code == 2
    assert told in found.output
    assert not (file.parent / "plates.expected.json").exists()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "cannot read the expected changes: it is not json"),
        ("[]", 'expected {"changes": [...]}, as `pipemon expect` writes it'),
        ('{"changes": [{"what": "x"}]}', "a change has from, stage, to, what, all texts; found "),
        (changes(stage="corp"), "there is no stage 'corp'; did you mean 'crop'?"),
        (changes(**{"from": "soon"}), "expected times such as"),
        (changes(to="2026-01-01"), "ends before it begins"),
    ],
)
def test_a_file_that_was_edited_wrongly_is_refused_with_its_name(file: Path, text: str, told: str) -> None:
    (file.parent / "plates.expected.json").write_text(text)
    with pytest.raises(SpecError) as refused:
        load(file)
    (problem,) = refused.value.problems
    assert problem.file.endswith("plates.expected.json")
    assert told in problem.message
