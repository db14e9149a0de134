"""What the README shows works as it stands."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

from pipemon.generate.inhibition import plan
from pipemon.generate.output import generate
from pipemon.spec.load import load

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return str(found)


def test_the_code_runs_and_the_failure_modes_are_about_it(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(block("python"))
    (tmp_path / "speech.yaml").write_text(block("yaml"))
    command = [sys.executable, "-m", "pipemon", "generate", "speech.yaml", "--out", "monitoring"]
    with ExitStack() as service:
        with suppress(OSError):  # the port is taken already
            service.enter_context(socket.create_server(("0.0.0.0", 9464)))
        # As if the service ran here: its code is asked, not served.
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "vad-cuts-everything holds back users-repeat-themselves" in done.stdout
    for pattern in re.findall(r"^\| `([^`]+)` \|", README, re.MULTILINE):
        assert list((tmp_path / "monitoring").glob(pattern)), pattern


def test_the_promised_message_is_what_a_misspelt_stage_gives(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(block("python"))
    (tmp_path / "speech.yaml").write_text(block("yaml").replace("stage: vad", "stage: vda"))
    command = [sys.executable, "-m", "pipemon", "check", "speech.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    (promised,) = re.findall(r"`(speech\.yaml:\d+:.*?\[unknown-stage\])`", README)
    assert done.stderr.splitlines() == [promised, "      stage: vda", "             ^~~"]


def test_the_notification_shown_is_of_the_example(tmp_path: Path) -> None:
    spec = plan(load(ROOT / "examples" / "speech" / "failure_modes.yaml")).spec
    (mode,) = [mode for mode in spec.failure_modes if mode.name == "telephone-microphones"]
    assert mode.do in " ".join(README.split())
    assert generate([ROOT / "examples" / "speech" / "failure_modes.yaml"], tmp_path).paths


def test_the_file_in_the_documentation_is_valid(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "failure-modes.md").read_text(), re.DOTALL)
    text, *others, undecorated = blocks
    assert len(others) == 5
    for number, other in enumerate(others):
        (tmp_path / f"other-{number}.yaml").write_text(other)
        assert load(tmp_path / f"other-{number}.yaml").measurable
    (tmp_path / "speech.yaml").write_text(text)
    spec = load(tmp_path / "speech.yaml")
    # Without the code that it names, which is the reader's: its stage before the server is said instead.
    lines = [line for line in undecorated.splitlines() if not line.startswith("code:")]
    alone = "\n".join(lines).replace("stages:\n", "stages:\n  vad: {}\n")
    (tmp_path / "undecorated.yaml").write_text(alone)
    assert [mode.name for mode in load(tmp_path / "undecorated.yaml").measurable] == ["asr-fails", "asr-slow"]
    assert [(mode.name, mode.observe, mode.observe_since) for mode in spec.failure_modes] == [
        ("vad-cuts", False, ""),
        ("vad-cuts-a-little", True, "2026-11-20"),
    ]
