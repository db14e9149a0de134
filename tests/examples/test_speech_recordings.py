"""Where the speech example's recordings come from, and how they are read."""

from __future__ import annotations

import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
import recordings

from pipemon.errors import UnavailableError


def write_wav(path: Path, seconds: float = 0.5, rate: int = 16_000, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.arange(int(seconds * rate) * channels, dtype="<i2").tobytes())


def sphinx_tree(folder: Path) -> Path:
    write_wav(folder / "cards" / "001.wav")
    write_wav(folder / "librivox" / "sense_and_sensibility_01_austen_64kb-0870.wav", seconds=7.1)
    (folder / "cards" / "cards.transcription").write_text("<s> ten of clubs  </s> (001)\n<s> five five  </s> (004)\n")
    words = "and mister john dashwood had then leisure to consider how much there might be"
    (folder / "librivox" / "transcription").write_text(
        f"<s> {words} </s> (sense_and_sensibility_01_austen_64kb-0870)\n"
    )
    np.arange(8000, dtype="<i2").tofile(folder / "goforward.raw")
    (folder / "bad.wav").write_bytes(b"RIFF nothing of a WAV file")
    return folder


def test_sphinx_recordings_come_with_their_transcripts_and_the_longest_cut_at_a_pause(tmp_path: Path) -> None:
    found = {r.name.rpartition("-")[2]: r for r in recordings.find(tmp_path, sphinx_tree(tmp_path / "data"))}
    assert {name: recording.transcript for name, recording in found.items()} == {
        "001": "ten of clubs",
        "0870a": "and mister john dashwood had then leisure to consider how",
        "0870b": "much there might be",
        "goforward": "go forward ten meters",
    }
    assert found["001"].seconds == 0.5
    assert found["0870a"].seconds + found["0870b"].seconds == pytest.approx(7.1)


def test_ones_own_folder_may_hold_any_wav_files_with_texts_beside_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_wav(tmp_path / "a" / "hello.wav")
    (tmp_path / "a" / "hello.txt").write_text("Hello  there\n")
    write_wav(tmp_path / "unknown.wav")
    write_wav(tmp_path / "narrow.wav", rate=8000)
    write_wav(tmp_path / "stereo.wav", channels=2)
    monkeypatch.setenv("PIPEMON_RECORDINGS", str(tmp_path))
    found = recordings.find(tmp_path / "cache")
    assert [(recording.name, recording.transcript) for recording in found] == [
        ("hello", "hello there"),
        ("unknown", None),
    ]


def test_fetched_recordings_are_found_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIPEMON_RECORDINGS", raising=False)
    monkeypatch.setattr(recordings, "_DATA", Path("no/such/place"))
    assert recordings.find(tmp_path) == []
    sphinx_tree(tmp_path / "recordings")
    assert len(recordings.find(tmp_path)) == 4


def test_where_nothing_can_be_had_one_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(UnavailableError, match=r"no recordings .*pocketsphinx-testdata.*PIPEMON_RECORDINGS") as told:
        recordings.fetch(tmp_path / "cache")
    assert "\n" not in str(told.value)


def test_the_script_lists_what_it_finds(tmp_path: Path) -> None:
    write_wav(tmp_path / "hello.wav")
    done = subprocess.run(
        [sys.executable, recordings.__file__, "--cache", str(tmp_path / "cache")],
        env={"PIPEMON_RECORDINGS": str(tmp_path), "PYTHONPATH": ":".join(filter(None, sys.path)), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == " 0.50 s  hello: (not written down)\n"
