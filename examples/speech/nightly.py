"""Every night the day's calls are heard once more, by the recogniser that is to serve tomorrow: a batch job.

    python nightly.py --gateway 127.0.0.1:9091
    python nightly.py --gateway 127.0.0.1:9091 --loses 0.2     # a fifth of the calls comes to nothing
    python nightly.py --gateway 127.0.0.1:9091 --calls 100     # hardly any came
    python nightly.py --gateway 127.0.0.1:9091 --seconds 1     # of each only the first second was copied

What it counts is pushed once it is over: nobody could scrape it in time.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence

import recogniser
import recordings
from detector import Audio
from recordings import RATE, Recording

import pipemon
from pipemon.features import Feature

nightly = pipemon.Pipeline("nightly")


@nightly.stage(
    "hear_again",
    batch=True,
    one_to_one=True,
    output=Feature("words", lambda text: len(text.split()), unit="words"),
)
def hear_again(calls: Sequence[Audio], loses: float = 0.0) -> list[str]:
    """Return what is said in each call; `loses` is the share that an interrupted run leaves out."""
    kept = len(calls) - round(loses * len(calls))
    return [recogniser.decode(audio).text for audio in calls[:kept]]


def day(every: Sequence[Recording], calls: int, seconds: float = math.inf) -> list[Audio]:
    """Return the calls of a day, which are the recordings again and again, of each at most so many seconds."""
    most = round(min(seconds, 3600.0) * RATE)
    return [every[number % len(every)].samples[:most] for number in range(calls)]


@nightly.run
def night(calls: Sequence[Audio], loses: float = 0.0) -> list[str]:
    """Hear a day's calls, and return what was said in them."""
    return hear_again(calls, loses)


def main() -> None:
    """Hear the day's calls, and push what was counted."""
    parser = argparse.ArgumentParser(description="Hear the day's calls once more, and push what was counted.")
    parser.add_argument("--gateway", default="127.0.0.1:9091", help="the Pushgateway")
    parser.add_argument("--calls", type=int, default=2000, help="how many came that day")
    parser.add_argument("--loses", type=float, default=0.0, help="the share that is left out")
    parser.add_argument("--seconds", type=float, default=math.inf, help="of each call only so many were copied")
    options = parser.parse_args()
    every = recordings.found_or_fetched()
    recogniser.remembered = {}
    with pipemon.batch_job("nightly", gateway=options.gateway, pipeline=nightly):
        night(day(every, options.calls, options.seconds), options.loses)


if __name__ == "__main__":
    main()
