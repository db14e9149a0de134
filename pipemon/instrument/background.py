"""Flushing without anybody's call: every second, at exit, and anew in a forked child."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import weakref
from typing import Protocol

from pipemon.instrument.log import log_once

INTERVAL = 1.0
"""Seconds between two flushes."""


class Flushable(Protocol):
    """What is flushed: the exporter of one registry."""

    def flush_all(self) -> None:
        """Move every buffered call into the metrics; never raises."""

    def before_fork(self) -> None:
        """Wait until no flush is under way, and let none begin."""

    def after_fork(self, *, in_child: bool) -> None:
        """Let flushes go on; in the child, begin anew."""


_flushed: list[weakref.ref[Flushable]] = []
_thread: threading.Thread | None = None


def add(exporter: Flushable) -> None:
    """Flush an exporter from now on, for as long as it lives."""
    _flushed.append(weakref.ref(exporter, _flushed.remove))


def start() -> None:
    """Start this process's flushing thread unless it runs. Nothing starts it before the first call."""
    global _thread  # noqa: PLW0603  one thread a process is the point
    if _thread is not None:
        return
    _flush_when_a_worker_ends()
    try:
        _thread = threading.Thread(target=_flush_for_ever, name="pipemon-flush", daemon=True)
        _thread.start()
    except RuntimeError as error:  # at exit, or out of threads: scrapes and full buffers still flush
        log_once("thread", "no background flush: %s", error)


def _living() -> list[Flushable]:
    return [exporter for reference in list(_flushed) if (exporter := reference()) is not None]


def _flush_for_ever() -> None:
    while True:
        time.sleep(INTERVAL)
        flush_now()


def flush_now() -> None:
    """Move every buffered call of this process into the metrics; never raises."""
    for exporter in _living():
        exporter.flush_all()


def _flush_when_a_worker_ends() -> None:
    # multiprocessing ends its forked workers without atexit, but with these.
    process, util = map(sys.modules.get, ("multiprocessing.process", "multiprocessing.util"))
    if process is not None and util is not None and process.parent_process() is not None:
        util.Finalize(None, flush_now, exitpriority=0)


def _before_fork() -> None:
    for exporter in _living():
        exporter.before_fork()


def _after_fork_in_parent() -> None:
    for exporter in _living():
        exporter.after_fork(in_child=False)


def _after_fork_in_child() -> None:
    global _thread  # noqa: PLW0603
    _thread = None  # threads don't survive a fork; the child's first call starts its own
    for exporter in _living():
        exporter.after_fork(in_child=True)


atexit.register(flush_now)
os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
