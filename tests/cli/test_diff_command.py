"""`pipemon diff` ends with 1 where something changes, 0 where nothing does, and 2 where it can't tell."""

from __future__ import annotations

from pathlib import Path

from command_line import pipemon

CODE = """\
import pipemon

speech = pipemon.Pipeline("speech")

@speech.stage("{stage}", budget="50ms")
def listen(audio): ...
"""
MODES = """\
pipeline: speech
code: cascade_in_two_folders:speech
failure_modes:
  cuts: {what: It returns nothing, stage: STAGE, signal: null_ratio}
"""


def folder(path: Path, stage: str) -> Path:
    path.mkdir()
    (path / "cascade_in_two_folders.py").write_text(CODE.replace("{stage}", stage))
    (path / "speech.yaml").write_text(MODES.replace("STAGE", stage))
    return path


def test_folders_are_compared_each_with_its_own_code(tmp_path: Path) -> None:
    old, new = folder(tmp_path / "old", "vad"), folder(tmp_path / "new", "listener")
    ended = pipemon("diff", str(old), str(new))
    assert (ended.code, ended.err) == (1, "")
    assert "  alert SpeechCuts: is at listener (was vad)" in ended.out.splitlines()
    same = pipemon("diff", str(new), str(new / "speech.yaml"))
    assert (same.code, same.out, same.err) == (0, "no alert, route or panel changes\n", "")


def test_the_code_of_an_old_file_from_anywhere_is_looked_for_beside_the_new(tmp_path: Path) -> None:
    new = folder(tmp_path / "new", "vad")
    (tmp_path / "before.yaml").write_text(MODES.replace("STAGE", "vad").replace("null_ratio", "null_ratio, above: 9%"))
    ended = pipemon("diff", str(tmp_path / "before.yaml"), "speech.yaml", cwd=new)
    assert (ended.code, ended.err) == (1, "")
    assert "above 5%, for 2m (was null outputs of vad above 9%, for 2m)" in ended.out


def test_faults_of_either_side_end_with_2_and_nothing_on_stdout(tmp_path: Path) -> None:
    new = folder(tmp_path / "new", "vad")
    (tmp_path / "broken.yaml").write_text(MODES.replace("STAGE", "vat"))
    ended = pipemon("diff", str(tmp_path / "broken.yaml"), str(new))
    assert (ended.code, ended.out) == (2, "")
    assert "did you mean 'vad'?" in ended.err
    assert pipemon("diff", str(new), str(tmp_path / "none.yaml")).code == 2
