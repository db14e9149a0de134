"""The cascade at a customer's: our detector, a model server with metrics of its own, and the customer's dialogue.

    python hosted.py --port 9466
    python hosted.py --port 9466 --fault server_fails       # a name of FAULTS

The recogniser is as real as elsewhere, and so are the metrics that its server counts by itself, without pipemon.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import recogniser
import recordings
from detector import Audio, Speech, detected
from prometheus_client import Counter, Gauge, Histogram
from recordings import Recording

import pipemon
from pipemon.demo.exposing import exposed
from pipemon.features import Category, Feature

hosted = pipemon.Pipeline("hosted", feedback=("undone",), slices={"shift": ["early", "late"]})


@dataclass(frozen=True)
class Setup:
    """What is wrong: one in so many calls, 0 for none; `wait` is in seconds."""

    cut: bool = False
    fails: int = 0
    canary_fails: int = 0
    deaf: int = 0
    wait: float = 0.0
    forgets: bool = False
    loses: int = 0
    undone: int = 0
    wrong: int = 0
    differs: int = 0


FAULTS = {
    "line_cut": Setup(cut=True),
    "server_fails": Setup(fails=5),
    "server_slow": Setup(wait=2.0),
    "server_deaf": Setup(deaf=3),
    "canary_fails": Setup(canary_fails=8),
    "words_forgotten": Setup(forgets=True),
    "commands_lost": Setup(loses=8),
    "commands_undone": Setup(undone=5),
    "commands_wrong": Setup(wrong=3),
    "next_version_differs": Setup(differs=5),
}


@hosted.stage("vad", inputs={"line": Category("line", lambda line: line, categories=("north", "south"))})
def find_speech(audio: Audio, line: str) -> Speech:
    """Return the segments in which somebody speaks of `audio`, which came by `line`."""
    return detected(audio, mode=1)


_OF_A_MODEL = ("model_version", "deployment")
_requests = Counter("recogniser_requests", "Requests that ended.", ("code", *_OF_A_MODEL))
_empty = Counter("recogniser_empty", "Requests that gave no word.", _OF_A_MODEL)
_seconds = Histogram("recogniser_request_duration_seconds", "How long.", _OF_A_MODEL, buckets=(0.5, 1, 1.5, 3))
_pending = Gauge("recogniser_pending_requests", "Requests under way.", _OF_A_MODEL)


def recognised(found: Speech, setup: Setup, number: int) -> str:
    """Return what the model server hears, nothing where it fails; every third request is the canary's."""
    canary = number % 3 == 2
    model = ("8", "canary") if canary else ("7", "stable")
    began = time.perf_counter()
    with _pending.labels(*model).track_inprogress():
        time.sleep(setup.wait)
        text = "" if _one_in(setup.deaf, number) else recogniser.decode(np.concatenate(found.segments)).text
        failed = _one_in(setup.fails, number) or (canary and _one_in(setup.canary_fails, number // 3))
    _seconds.labels(*model).observe(time.perf_counter() - began)
    _requests.labels("500" if failed else "200", *model).inc()
    if failed:
        return ""
    _empty.labels(*model).inc(not text)
    return text


@hosted.stage(
    "dialogue",
    batch=True,
    one_to_one=True,
    output=Feature("confidence", lambda sure: sure, unit="ratio"),
    scores=["wrong_command"],
    candidates=["2"],
)
def dialogue(texts: Sequence[str], known: frozenset[str], *, lost: bool = False) -> list[float]:
    """Return how sure it is of the command in each text: the share of its words that are `known`."""
    sure = [sum(word in known for word in text.split()) / len(text.split()) for text in texts]
    return sure[lost:]


def call(every: Sequence[Recording], number: int, setup: Setup) -> None:
    """Play a call, and tell what became of it."""
    line = "south" if setup.cut or number % 2 else "north"
    found = find_speech(every[number % len(every)].samples, line)
    text = recognised(found, setup, number) if found.segments else ""
    if not text:
        return
    known = frozenset() if setup.forgets else _words(every)
    dialogue([text], known, lost=_one_in(setup.loses, number))
    hosted.compared("dialogue", "2", not _one_in(setup.differs, number))
    late = number % 4 >= 2
    wrong = late and _one_in(setup.wrong, number)
    hosted.score("wrong_command", float(wrong), stage="dialogue", slice={"shift": "late" if late else "early"})
    if _one_in(setup.undone, number):
        hosted.feedback("undone", stage="dialogue")


def _words(every: Sequence[Recording]) -> frozenset[str]:
    return frozenset(word for recording in every for word in (recording.transcript or "").split())


def _one_in(count: int, number: int) -> bool:
    return bool(count) and number % count == 0


def main() -> None:
    """Play calls, one after the other."""
    parser = argparse.ArgumentParser(description="Play a customer's calls and expose the metrics of their cluster.")
    parser.add_argument("--port", type=int, default=9466, help="where metrics are exposed; 0 takes a free one")
    parser.add_argument("--fault", choices=FAULTS, help="what is wrong")
    parser.add_argument("--calls", type=int, default=sys.maxsize, help="when to end; by default never")
    options = parser.parse_args()
    every = recordings.found_or_fetched()
    with exposed(options.port) as (stop, address):
        print(f"ready: metrics at {address}", flush=True)
        for number in itertools.takewhile(lambda _: not stop.is_set(), range(options.calls)):
            call(every, number, FAULTS.get(options.fault, Setup()))


if __name__ == "__main__":
    main()
