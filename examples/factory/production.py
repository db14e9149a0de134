"""Let plates pass under the camera at a steady rate, break the station on request, and expose its metrics.

    python production.py --port 9464 --fault lamps_dimmed --after 60
    python production.py --port 9464 --fault lamps_aging --over 3600
    python production.py --learn 1000            # writes factory.baseline.json anew

A final check behind the station finds half of the scratched plates that it let through, and says so.
"""

from __future__ import annotations

import argparse
import time

import inspection
import numpy as np
import plates
from disturbances import FAULTS, set_up

import pipemon
from pipemon.demo.exposing import exposed

FOUND_LATER = 0.5
"""Share of the missed scratches that the final check finds."""

CANARY_EVERY = 4
"""One frame in so many goes to the candidate."""


class Line:
    """Scenes in a fixed order, and what the final check says of each."""

    def __init__(self, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)
        self._frames = 0

    def next_frame(self) -> tuple[int, int, int]:
        """Inspect one scene; return its scratched plates, those of them passed as good, and the good ones rejected."""
        scene = plates.draw(self._rng)
        self._frames += 1
        found = inspection.inspect(scene, by_candidate=self._frames % CANARY_EVERY == 0)
        verdicts = [inspection.verdict(each) for each in found]
        told = list(zip(verdicts, scene.scratched, strict=True))
        missed = sum(scratched and said == "good" for said, scratched in told)
        rejected = sum(not scratched and said == "scratched" for said, scratched in told)
        for _ in range(int((self._rng.random(missed) < FOUND_LATER).sum())):
            inspection.factory.feedback("missed", stage="classifier")
        for _ in range(rejected):
            inspection.factory.feedback("false_alarm", stage="classifier")
        return sum(scene.scratched), missed, rejected


def learn(frames: int) -> None:
    """Write the baseline from frames in good light."""
    line = Line(seed=1)
    with pipemon.learning(inspection.factory, source="drawn plates") as learned:
        for _ in range(frames):
            line.next_frame()
    learned.save(inspection.BASELINE)


def main() -> None:
    """Produce until told to stop."""
    parser = argparse.ArgumentParser(description="Inspect drawn plates and expose the metrics.")
    parser.add_argument("--port", type=int, default=9464, help="where metrics are exposed; 0 takes a free one")
    parser.add_argument("--rate", type=float, default=4.0, help="frames a second")
    parser.add_argument("--fault", choices=FAULTS, help="what breaks")
    parser.add_argument("--strength", type=float, help="of the fault; by default the usual one")
    parser.add_argument("--after", type=float, default=0.0, help="seconds until it breaks")
    parser.add_argument("--over", type=float, default=86400.0, help="seconds in which what comes by and by comes")
    parser.add_argument("--learn", type=int, metavar="FRAMES", help="write the baseline from so many, and end")
    options = parser.parse_args()
    if options.learn:
        learn(options.learn)
        return
    line, began = Line(), time.monotonic()
    due = began
    with exposed(options.port) as (stop, address):
        print(f"ready: metrics at {address}", flush=True)
        pipemon.allow_drills(inspection.factory, token_env="PIPEMON_DRILL_TOKEN")
        while not stop.wait(max(0.0, due - time.monotonic())):
            due = max(due + 1 / options.rate, time.monotonic())
            since = time.monotonic() - began - options.after
            broken = options.fault if since >= 0 else None
            inspection.camera.setup = set_up(broken, options.strength, min(1.0, since / options.over))
            line.next_frame()


if __name__ == "__main__":
    main()
