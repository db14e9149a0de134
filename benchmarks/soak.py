"""A long run: `python benchmarks/soak.py --calls 10_000_000`; exits with 1 if a count or the memory is off.

Four workers at a time call stages from threads and tasks, in prometheus_client's multiprocess mode, while all of them
are scraped every 100 ms. After each worker that ends in order another one in its place is killed on its way. What
must hold: workers that end in order count every call; those that are killed lose no more than a flush interval;
totals never fall; `_count` is `+Inf`; and no process grows.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pipemon
from pipemon.features import value
from pipemon.instrument.exposition.workers import Workers

WORKERS = 4
ROUNDS = 2
SCRAPE_EVERY = 0.1
FAILS_EVERY = 100
STEP = 1000
ENDLESS = 10**12
GROWTH = 8e6
"""Bytes by which a process may grow after its first tenth: arenas of the allocator, not what is kept."""

soaked = pipemon.Pipeline("soak")


@soaked.stage(output=value("one"))
def vad(index: int) -> int:
    if index % FAILS_EVERY == 0:
        raise ValueError
    return 1


@soaked.stage(output=value("one"))
async def asr(index: int) -> int:
    if index % STEP == 0:
        await asyncio.sleep(0)
    return 1


@soaked.stage(output=value("one"))
def words(calls: int) -> Iterable[int]:
    for _ in range(calls):
        yield 1


def work(calls: int, progress: Any, memory: Any) -> None:
    """Make `calls` calls: half from two threads, half from eight tasks; and read as many items of streams."""

    def in_thread(share: int, number: int) -> None:
        for index in range(share):
            with suppress(ValueError):
                vad(index)
            if index % STEP == 0:
                progress[number] += STEP

    async def in_task(share: int) -> None:
        for index in range(share):
            await asr(index)

    async def in_tasks(share: int) -> None:
        await asyncio.gather(*(in_task(share // 16) for _ in range(8)))

    def all_of_it(share: int) -> None:
        threads = [threading.Thread(target=in_thread, args=(share // 4, number)) for number in range(2)]
        for thread in threads:
            thread.start()
        asyncio.run(in_tasks(share))
        for thread in threads:
            thread.join()
        for _ in range(10):
            sum(words(share // 10))

    calls //= 10
    for done in range(10):
        all_of_it(calls)
        if done == 0:
            memory[0] = resident()
    memory[1] = resident()


def resident() -> int:
    """Return this process's resident memory, bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def expected(calls: int) -> dict[str, int]:
    """Return what a worker counts that ends in order."""
    tenth = calls // 10
    share, task = tenth // 4, tenth // 16
    failed = 20 * -(-share // FAILS_EVERY)
    return {
        "vad calls": 20 * share, "vad failures": failed, "vad observed": 20 * share - failed,
        "asr calls": 80 * task, "asr failures": 0, "asr observed": 80 * task,
        "words calls": 100, "words failures": 0, "words observed": 100 * (tenth // 10),
    }  # fmt: skip


COUNTED = {
    "pipemon_stage_calls_total": "calls",
    "pipemon_stage_failures_total": "failures",
    "pipemon_feature_observed_total": "observed",
    "pipemon_feature_value_bucket": "observed (histogram)",
    "pipemon_stage_duration_seconds_count": "calls (histogram)",
}


def counts(collector: Workers, files: Iterable[str] | None = None) -> Counter[str]:
    """Return the counts of some files, by default of all workers, after a look at the histograms."""
    families = collector.collect() if files is None else collector.merge(files)  # type: ignore[no-untyped-call]
    found: Counter[str] = Counter()
    bucket, total = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for family in families:
        for sample in family.samples:
            stage = sample.labels.get("stage", "")
            if sample.labels.get("le") == "+Inf":
                bucket[family.name, stage] += int(sample.value)
            elif sample.name.endswith("_count"):
                total[family.name, stage] += int(sample.value)
            if sample.name in COUNTED and sample.labels.get("le", "+Inf") == "+Inf":
                found[f"{stage} {COUNTED[sample.name]}"] += int(sample.value)
    assert total.items() <= bucket.items(), "a histogram's _count is not its +Inf bucket"
    return found


@dataclass
class Slot:
    """Where one worker after another runs."""

    left: int
    calls: int
    process: Any = None
    doomed: float | None = None
    seen: list[tuple[float, int]] = field(default_factory=list)

    def begin(self, doomed: bool) -> None:
        context = multiprocessing.get_context("fork")
        self.progress, self.memory = context.RawArray("q", 2), context.RawArray("q", 2)
        self.doomed = time.monotonic() + random.uniform(0.2, 3) if doomed else None
        self.seen = []
        self.process = context.Process(
            target=work, args=(ENDLESS if doomed else self.calls, self.progress, self.memory)
        )
        self.process.start()


@dataclass
class Result:
    """What the soak saw."""

    calls: int = 0
    ended: int = 0
    killed: int = 0
    scrapes: int = 0
    grown: int = 0
    faults: list[str] = field(default_factory=list)


def soak(calls: int, folder: Path) -> Result:
    """Run it in this process, whose multiprocess folder is `folder`."""
    result, collector = Result(), Workers(None, str(folder))  # type: ignore[no-untyped-call]
    slots = [Slot(left=ROUNDS, calls=calls // (WORKERS * ROUNDS)) for _ in range(WORKERS)]
    for slot in slots:
        slot.begin(doomed=False)
    before: Mapping[str, int] = {}
    memory = 0
    while any(slot.process for slot in slots):
        time.sleep(SCRAPE_EVERY)
        now = counts(collector)
        result.scrapes += 1
        memory = memory or (resident() if result.scrapes == 20 else 0)
        if any(now[name] < value for name, value in before.items()):
            result.faults.append(f"totals fell: {before} {now}")
        before = now
        for slot in slots:
            if slot.process:
                tend(slot, collector, folder, result)
    if memory:
        result.grown = max(result.grown, resident() - memory)
    if result.grown > GROWTH:
        result.faults.append(f"a process grew by {result.grown / 1e6:.1f} MB")
    return result


def tend(slot: Slot, collector: Workers, folder: Path, result: Result) -> None:
    """See to a worker that ended, or whose end has come."""
    slot.seen.append((time.monotonic(), sum(slot.progress)))
    killed = slot.process.is_alive()
    if killed and (slot.doomed is None or time.monotonic() < slot.doomed):
        return
    slot.process.kill()
    slot.process.join()
    own = counts(collector, [str(file) for file in folder.glob(f"*_{slot.process.pid}.db")])
    if killed:
        result.killed += 1
        # Threads may be a step ahead of what they told, or behind; a flush may be late by as much as it takes.
        since = time.monotonic() - 2
        least = max((done for at, done in slot.seen if at < since), default=0) - 4 * STEP
        if not least <= own["vad calls"] <= sum(slot.progress) + 4 * STEP:
            result.faults.append(f"killed: counted {own['vad calls']} of {sum(slot.progress)}, at least {least}")
    else:
        result.ended += 1
        result.calls += sum(own[f"{stage} calls"] for stage in ("vad", "asr", "words"))
        result.grown = max(result.grown, slot.memory[1] - slot.memory[0])
        wanted = expected(slot.calls)
        wanted |= {f"{name} (histogram)": n for name, n in wanted.items() if not name.endswith("failures")}
        wrong = {name: (own[name], n) for name, n in wanted.items() if own[name] != n}
        if wrong or slot.process.exitcode:
            result.faults.append(f"ended with {slot.process.exitcode}: counted, expected {wrong}")
        slot.left -= slot.doomed is None
    slot.process = None
    if slot.left:
        slot.begin(doomed=slot.doomed is None)


def main() -> int:
    """Run the soak and tell what it saw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=10_000_000, help="of the workers that end in order")
    arguments = parser.parse_args()
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if folder is None:  # prometheus_client reads it when it is imported
        with tempfile.TemporaryDirectory(prefix="pipemon-soak-") as new:
            environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": new}
            return subprocess.run([sys.executable, *sys.argv], env=environment, check=False).returncode
    begun = time.monotonic()
    result = soak(arguments.calls, Path(folder))
    print(
        f"{result.calls:,} calls of {result.ended} workers that ended, {result.killed} killed, "
        f"{result.scrapes} scrapes, {time.monotonic() - begun:.0f} s; "
        f"no process grew by more than {result.grown / 1e6:.1f} MB"
    )
    for fault in result.faults:
        print(fault, file=sys.stderr)
    return 1 if result.faults else 0


if __name__ == "__main__":
    sys.exit(main())
