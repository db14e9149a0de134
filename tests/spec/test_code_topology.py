"""`code: module:pipeline` is imported and tells stages, features, budgets and bounds."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from pipemon import Pipeline
from pipemon.errors import SpecError
from pipemon.spec.code import CodeError, shape_of
from pipemon.spec.latency import BoundShare, bound_share
from pipemon.spec.load import load
from pipemon.spec.model import Spec

OK = Path(__file__).parent / "ok"


@pytest.fixture(autouse=True)
def _modules_are_forgotten() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        sys.modules.pop(name)


def spec_of(folder: Path, budget: str, threshold: str) -> Spec:
    text = (
        f"pipeline: speech\ncode: cascade_of_ok_files:speech\nstages: {{punctuate: {{{budget}}}}}\n"
        f"failure_modes:\n  late: {{what: x, stage: punctuate, signal: {{latency: p95}}, above: {threshold}}}\n"
    )
    (folder / "cascade_of_ok_files.py").write_text((OK / "cascade_of_ok_files.py").read_text())
    path = folder / "speech.yaml"
    path.write_text(text)
    return load(path)


def share(spec: Spec) -> BoundShare | None:
    [mode] = spec.failure_modes
    return bound_share(spec, mode.stage, mode.conditions[0])


def test_the_decorated_code_is_the_source_of_the_topology() -> None:
    shape = shape_of("cascade_of_ok_files:speech", OK)
    assert [(stage.name, stage.after, stage.budget) for stage in shape.stages] == [
        ("vad", (), 0.05),
        ("asr", ("vad",), 0.3),
        ("punctuate", None, None),
    ]
    assert 0.05 in shape.stages[0].duration_bounds
    assert 0.5 in shape.duration_bounds


def test_the_folder_is_searched_only_while_importing() -> None:
    before = list(sys.path)
    shape_of("cascade_of_ok_files:speech", OK)
    with pytest.raises(CodeError):
        shape_of("no_such_module:speech", OK)
    assert sys.path == before


def test_code_is_found_from_the_current_folder_where_it_is_not_beside_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "monitoring").mkdir()
    (tmp_path / "code_elsewhere.py").write_text("import pipemon\nshop = pipemon.Pipeline('shop')\n")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    assert shape_of("code_elsewhere:shop", tmp_path / "monitoring").name == "shop"
    assert sys.path == before


@pytest.mark.parametrize(
    ("file", "module"), [("app.py:speech", "app:speech"), ("./src/app.py:speech", "src.app:speech")]
)
def test_a_file_that_is_named_instead_of_its_module_is_told_with_the_module(
    file: str, module: str, tmp_path: Path
) -> None:
    with pytest.raises(CodeError, match=f"did you mean '{module}'"):
        shape_of(file, tmp_path)


def test_a_latency_is_compared_at_a_bound_that_the_code_really_has(tmp_path: Path) -> None:
    assert share(spec_of(tmp_path, "", "1s")) == BoundShare(1.0, 0.05)
    assert share(spec_of(tmp_path, "", "1.234s")) is None


def test_a_budget_that_only_the_file_knows_is_no_bucket_of_the_exporter(tmp_path: Path) -> None:
    assert share(spec_of(tmp_path, "budget: 37ms", "budget")) is None


def test_without_code_a_budget_is_a_bound_and_nothing_else_is_sure_to_be() -> None:
    spec = load(OK / "defaults.yaml")
    mode = spec.failure_modes[0]
    assert bound_share(spec, "vad", mode.conditions[0]) == BoundShare(0.05, 0.01)
    other = spec.failure_modes[-1].conditions[2]
    assert other.threshold is not None
    assert other.threshold.high == 0.03
    assert bound_share(spec, "vad", other) is None


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("this is no Python\n", "SyntaxError: invalid syntax (broken_module.py, line 1)"),
        ("raise KeyError\n", "at broken_module.py:1: KeyError"),
        ("import pipemon\n\npipemon.Feature('x', len, unit='ms')\n", "at broken_module.py:3: DeclarationError"),
        ("speech = None\n", "has no 'speech'"),
        ("class P:\n    def describe(self): raise OSError('off')\nspeech = P()\n", "can't be asked for its stages"),
        ("class P:\n    def describe(self): return 5\nspeech = P()\n", "is a P, not a pipemon.Pipeline"),
        ("def __getattr__(name): raise OSError('off')\n", "can't be asked for its stages: OSError: off"),
    ],
)
def test_code_that_fails_in_any_way_is_one_sentence(source: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "broken_module.py").write_text(source)
    with pytest.raises(CodeError) as refused:
        shape_of("broken_module:speech", tmp_path)
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_ctrl_c_during_an_import_is_not_a_fault_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "interrupted_module.py").write_text("raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        shape_of("interrupted_module:speech", tmp_path)


def test_without_its_code_a_file_is_not_blamed_for_names_that_cannot_be_known(tmp_path: Path) -> None:
    path = tmp_path / "speech.yaml"
    path.write_text(
        "pipeline: speech\ncode: not_there_at_all:speech\nstages: {vad: {budget: 50ms}}\nfailure_modes:\n"
        "  late: {what: x, stage: asr, signal: {latency: p99}}\n"
        "  loud: {what: x, stage: vad, signal: {mean: level}, above: 3}\n"
        "  typo: {what: x, stage: vad, signal: nul_ratio}\n"
    )
    with pytest.raises(SpecError) as refused:
        load(path)
    assert [(problem.line, problem.rule) for problem in refused.value.problems] == [(2, "code"), (7, "unknown-signal")]


def test_the_code_tells_the_slices_that_feedback_is_kept_apart_by() -> None:
    speech = Pipeline("speech", registry=CollectorRegistry(), slices={"age": ["young", "old"], "device": ["phone"]})
    assert speech.describe().slices == ("age=young", "age=old", "device=phone")


def test_a_failure_mode_by_a_group_finds_the_features_that_the_code_keeps_apart(tmp_path: Path) -> None:
    (tmp_path / "code_by_group.py").write_text(
        "import pipemon\nfrom pipemon.features import by, level_dbfs\nfrom prometheus_client import CollectorRegistry\n"
        "own = {'registry': CollectorRegistry(), 'slices': {'device': ['phone', 'desk']}}\n"
        "speech = pipemon.Pipeline('speech', **own)\n"
        "levels = by(level_dbfs(), ['phone', 'desk'], lambda audio: 'phone')\n"
        "find_speech = speech.stage('vad', inputs={'audio': levels})(lambda audio: audio)\n"
    )
    path = tmp_path / "speech.yaml"
    path.write_text(
        "pipeline: speech\ncode: code_by_group:speech\nfailure_modes:\n"
        "  loud: {what: x, stage: vad, signal: {mean: input.audio_level_dbfs}, above: -3, by: device}\n"
    )
    modes = load(path).failure_modes
    assert [(mode.name, mode.labels) for mode in modes] == [
        ("loud-phone", (("slice", "device=phone"),)),
        ("loud-desk", (("slice", "device=desk"),)),
    ]
