"""A decorated cascade that the files beside it are wrong about."""

from prometheus_client import CollectorRegistry

import pipemon

speech = pipemon.Pipeline("speech", budget="500ms", registry=CollectorRegistry())
ANSWER = 42


@speech.stage(
    "vad",
    inputs={"audio": pipemon.Feature("level", len, unit="dBFS")},
    output=pipemon.Feature("segments", len),
    budget="50ms",
)
def find_speech(audio: str) -> list[str]:
    return audio.split()


@speech.stage("asr", after="vad", feedback=["again"])
def transcribe(segments: list[str]) -> str:
    return " ".join(segments)


@speech.stage(
    "labelled", after="asr", labels=True, output=pipemon.Feature("confidence", len, unit="ratio", bounds=[0.5, 1])
)
def spell(text: str) -> str:
    return text


class Proxy:
    """Like a web framework's current request: nothing can be asked of it outside of one."""

    def __getattr__(self, name: str) -> object:
        raise RuntimeError("nothing here")


proxy = Proxy()
