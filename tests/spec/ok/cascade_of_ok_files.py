"""A decorated cascade that the files beside it are right about."""

from prometheus_client import CollectorRegistry

import pipemon
from pipemon.features import length, level_dbfs

speech = pipemon.Pipeline("speech", budget="500ms", registry=CollectorRegistry())


@speech.stage("vad", after=None, inputs={"audio": [level_dbfs()]}, output=length("segments"), budget="50ms")
def find_speech(audio: bytes) -> list[bytes]:
    return audio.split()


@speech.stage(
    "asr",
    after="vad",
    output=pipemon.Feature("confidence", lambda text: 1.0 if text else 0.0, unit="ratio"),
    budget="300ms",
)
def transcribe(segments: list[bytes]) -> str:
    return b" ".join(segments).decode()


@speech.stage
def punctuate(text: str) -> str:
    return text + "."
