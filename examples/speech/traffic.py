"""Play real recordings through the cascade at a steady rate, break it on request, and expose its metrics.

    python traffic.py --port 9464 --control control.json
    python traffic.py --rollout                  # with a canary, a version in shadow, and people who look
    python traffic.py --rollout cuts_more        # a canary that cuts more, or another of rollout.FAULTS
    python traffic.py --transcribers             # with people who write down what was said
    python traffic.py --learn 400                # writes speech.baseline.json anew

The control file holds `{"fault": name or null, "strength": number}`, with the names of `faults.FAULTS`;
it is read again whenever it changes, and no file means no fault.
"""

from __future__ import annotations

import argparse
import inspect
import itertools
import json
import math
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import cascade
import faults
import recogniser
import recordings
import rollout
import transcribers
from detector import Audio, Speech
from recordings import Recording

import pipemon
from pipemon.demo.exposing import exposed
from pipemon.demo.programs import default_cache

MOST_CALLS = 16
"""Calls at once."""

BAD = 0.5
"""Word error rate above which a listener did not get what was said."""

ASK_AGAIN = 0.8
"""Share of those listeners who ask again."""

ASK_ANYWAY = 0.01
"""Share of the other listeners who ask again: they were distracted."""


CHILDREN = 0.2
"""Share of the callers who are children. Until a fault says otherwise they sound as everybody does."""


class Control:
    """The fault that the control file asks for; a file that can't be read leaves the last one in place."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.fault: str | None = None
        self.strength: float | None = None
        self._seen: int | None = None

    def read(self) -> None:
        """Look at the file, and put what it says of the stages' set-up into the cascade."""
        try:
            changed = self.path.stat().st_mtime_ns if self.path else None
        except OSError:
            changed = None
        if changed == self._seen:
            return
        self._seen = changed
        try:
            asked = json.loads(self.path.read_text(encoding="utf-8")) if self.path and changed else {}
            fault, strength = asked.get("fault"), asked.get("strength")
            if fault is not None and fault not in faults.FAULTS:
                raise ValueError(f"there is no fault {fault!r}; there are {', '.join(faults.FAULTS)}")
            self.fault, self.strength = fault, None if strength is None else float(strength)
        except (OSError, ValueError, AttributeError, TypeError) as error:
            print(f"{self.path}: {error}; the fault stays {self.fault!r}", file=sys.stderr, flush=True)
            return
        cascade.setup = set_up(self.fault, self.strength)


def set_up(fault: str | None, strength: float | None = None) -> cascade.Setup:
    """Return the stages' set-up under `fault`: the usual one, but for faults of the stages themselves."""
    chosen = faults.FAULTS[fault] if fault else None
    if chosen is None or chosen.where in ("audio", "callers"):
        return cascade.Setup()
    value = chosen.strength if strength is None else strength
    setup: dict[str, Any] = {chosen.where: round(value) if chosen.where in ("vad_mode", "passes", "least") else value}
    return cascade.Setup(**setup)


def shuffled(every: Sequence[Recording], draw: random.Random) -> Iterator[Recording]:
    """Yield all recordings in a new order each time round, without end: any stretch of calls is alike."""
    while True:
        yield from draw.sample(every, len(every))


def spoken(recording: Recording, fault: str | None) -> str | None:
    """Return what is really said, if it is known: of words that the recogniser can't know, a "?" each."""
    if recording.transcript and fault and faults.FAULTS[fault].unknown:
        return " ".join("?" for _ in recording.transcript.split())
    return recording.transcript


Answer = Callable[[Audio, str | None, str], cascade.Transcript | None]


def called_with(fault: str | None, strength: float | None, chance: float) -> str:
    """Return the client of a caller, a browser in a fifth of the calls. `chance` is a draw from 0 to 1."""
    chosen = faults.FAULTS[fault] if fault else None
    if chosen and chosen.client and chance < (chosen.strength if strength is None else strength):
        return chosen.client
    return "app" if chance < 0.8 else "web"


def serve(
    recording: Recording,
    fault: str | None,
    strength: float | None,
    chance: float,
    age: str = "adult",
    answer: Answer | None = None,
    client: str = "app",
) -> None:
    """Answer one call, score it, and let its listener ask again. `chance` is a draw from 0 to 1."""
    anyway = ASK_ANYWAY
    if fault == "impatient":
        anyway = faults.FAULTS[fault].strength if strength is None else strength
    if fault and faults.FAULTS[fault].only not in ("", age):
        fault = None
    audio = faults.applied(fault, strength, recording.samples)
    reference = spoken(recording, fault)
    if fault == "unscored" and chance < (faults.FAULTS[fault].strength if strength is None else strength):
        reference = None
    said = (answer or cascade.answer)(audio, reference, client)
    error = said.word_error_rate if said else 1.0
    if error is not None:
        cascade.speech.score("wer", error, stage="asr", slice={"age": age})
    if chance < (ASK_AGAIN if error is not None and error > BAD else anyway):
        cascade.speech.feedback("redo", stage="asr", slice={"age": age})


def crowd(fault: str | None, strength: float | None) -> float:
    """Return how many times as many calls as usual come."""
    if fault != "few_callers":
        return 1.0
    return faults.FAULTS[fault].strength if strength is None else strength


def learn(every: Sequence[Recording], count: int) -> None:
    """Write the baseline from good calls, in the order in which they come.

    The recogniser's speed is the machine's: nobody else is to be compared with it.
    """
    calls = shuffled(every, random.Random(1))
    source = f"{len(every)} recordings, in the order of traffic.py"
    machines = ("asr.output.real_time_factor",)
    with pipemon.learning(cascade.speech, source=source, without=machines) as learned:
        for recording in itertools.islice(calls, count):
            cascade.answer(recording.samples, recording.transcript)
    learned.save(cascade.BASELINE)


def warm_up(recording: Recording) -> None:
    """Load the models by a call that is not counted."""
    inspect.unwrap(cascade.transcribe)(inspect.unwrap(cascade.find_speech)(recording.samples))


def play(
    every: Sequence[Recording],
    control: Control,
    stop: threading.Event,
    *,
    rate: float,
    seed: int = 0,
    seconds: float = float("inf"),
    answer: Answer | None = None,
) -> None:
    """Begin `rate` calls a second until `stop` is set or `seconds` are over, then let the last ones end.

    One call at a time, but where calls wait for a busy recogniser as many more as keep the rate up, and some
    to spare. So a machine that is too slow makes fewer calls, not later ones.
    """
    draw = random.Random(seed)
    playlist = shuffled(every, draw)
    calls: set[Future[None]] = set()
    began = due = time.monotonic()
    with ThreadPoolExecutor(MOST_CALLS, thread_name_prefix="call") as callers:
        while not stop.wait(max(0.0, due - time.monotonic())) and time.monotonic() - began < seconds:
            control.read()
            together = min(MOST_CALLS, 1 + math.ceil(2 * (cascade.setup.wait + cascade.setup.queue) * rate))
            times = crowd(control.fault, control.strength)
            due = time.monotonic() + 1 / (rate * (times or 1.0))
            if not times:
                continue
            while len(calls) >= together and not stop.is_set():
                done, calls = wait(calls, timeout=0.2, return_when=FIRST_COMPLETED)
                for error in filter(None, (call.exception() for call in done)):
                    print(f"a call failed: {error!r}", file=sys.stderr, flush=True)
            age = "child" if draw.random() < CHILDREN else "adult"
            fault, strength = control.fault, control.strength
            client = called_with(fault, strength, draw.random())
            calls.add(callers.submit(serve, next(playlist), fault, strength, draw.random(), age, answer, client))


def main() -> None:
    """Play until told to stop."""
    parser = argparse.ArgumentParser(description="Play recordings through the cascade and expose its metrics.")
    parser.add_argument("--port", type=int, default=9464, help="where metrics are exposed; 0 takes a free one")
    parser.add_argument("--address", default="127.0.0.1", help="on which address; 0.0.0.0 is all")
    parser.add_argument("--control", type=Path, help="the file that tells which fault to apply")
    parser.add_argument("--cache", type=Path, default=default_cache(), help="where fetched recordings are kept")
    parser.add_argument("--rate", type=float, default=2.8, help="calls a second, if the machine is fast enough")
    parser.add_argument("--seed", type=int, default=0, help="of the order and of the listeners' patience")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="when to end; by default never")
    parser.add_argument(
        "--rollout", nargs="?", const="", choices=("", *rollout.FAULTS), metavar="FAULT",
        help="with a canary and a version in shadow of the detector; what goes wrong with it",
    )  # fmt: skip
    parser.add_argument("--transcribers", action="store_true", help="people write down what was said, after the call")
    parser.add_argument("--once", action="store_true", help="decode the same audio once: durations are no real ones")
    parser.add_argument("--learn", type=int, metavar="CALLS", help="write the baseline from so many, and end")
    options = parser.parse_args()
    every = recordings.found_or_fetched(options.cache)
    if options.learn:
        learn(every, options.learn)
        return
    warm_up(every[0])
    nobody = {"vad": lambda: Speech((), 0.0)}
    pipemon.allow_drills(cascade.speech, token_env="PIPEMON_DRILL_TOKEN", null=nobody)
    if options.once:
        recogniser.remembered = {}
    answer = None
    if options.rollout is not None:
        answer = rollout.begin(rollout.FAULTS.get(options.rollout, rollout.Plan()))
    if options.transcribers:
        answer = transcribers.begin()
    with exposed(options.port, options.address) as (stop, address):
        print(f"ready: {len(every)} recordings, {options.rate:g} calls a second, metrics at {address}", flush=True)
        play(
            every, Control(options.control), stop,
            rate=options.rate, seed=options.seed, seconds=options.seconds, answer=answer,
        )  # fmt: skip


if __name__ == "__main__":
    main()
