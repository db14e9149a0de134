"""A kiosk in a station, which shows what is said as captions: the same detector and recogniser, on a small device.

python kiosk.py --port 9465
python kiosk.py --port 9465 --slow 3                    # before each caption, as on a device that is too warm
python kiosk.py --port 9465 --microphone covered        # by an advertisement; or `unplugged`
KIOSK_TRAINED=2025-01-31 python kiosk.py --port 9465    # a device that no update has reached since
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import faults
import recogniser
import recordings
from detector import Audio, detected

import pipemon
from pipemon.demo.exposing import exposed
from pipemon.features import level_dbfs

TRAINED = os.environ.get("KIOSK_TRAINED") or str(datetime.now(UTC).date())
"""When the model was trained that the last update brought: by default today."""
slower = 0.0
"""Seconds of waiting before each caption."""

kiosk = pipemon.Pipeline("kiosk")


@kiosk.stage("captions", model=pipemon.Model(data="en-us", trained=TRAINED), inputs={"audio": level_dbfs()})
def captions(audio: Audio) -> Iterator[str]:
    """Yield a caption for each stretch of speech, as soon as it is understood."""
    for part in detected(audio, mode=1).segments:
        time.sleep(slower)
        yield recogniser.decode(part).text


MICROPHONES = ("open", "covered", "unplugged")


def heard(audio: Audio, microphone: str) -> Audio | None:
    """Return what a microphone hears of `audio`: only its own hiss where it is covered, None where it is unplugged."""
    if microphone == "unplugged":
        return None
    return faults.silence(audio, -75.0) if microphone == "covered" else audio


def show(audio: Audio | None) -> list[str]:
    """Return the captions of what was heard; of nothing at all the stage is not called."""
    return [] if audio is None else list(captions(audio))


def main() -> None:
    """Show captions of the recordings, one after the other."""
    global slower  # noqa: PLW0603
    parser = argparse.ArgumentParser(description="Show captions of the recordings and expose the device's metrics.")
    parser.add_argument("--port", type=int, default=9465, help="where metrics are exposed; 0 takes a free one")
    parser.add_argument("--slow", type=float, default=0.0, help="seconds of waiting before each caption")
    parser.add_argument("--microphone", choices=MICROPHONES, default="open", help="what became of it")
    parser.add_argument("--calls", type=int, default=sys.maxsize, help="when to end; by default never")
    options = parser.parse_args()
    every = recordings.found_or_fetched()
    slower = options.slow
    with exposed(options.port) as (stop, address):
        print(f"captions, and metrics at {address}", flush=True)
        for _ in range(options.calls):
            audio = heard(random.choice(every).samples, options.microphone)
            if stop.wait(1.0 if audio is None else 0.0):
                break
            for caption in show(audio):
                print(caption, flush=True)


if __name__ == "__main__":
    main()
