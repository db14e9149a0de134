"""Flushing without anybody's call: every second, at a process's orderly end, and anew in a forked child.

What a process loses that does not end in order (SIGKILL, `os._exit`, `Pool.terminate`) are its calls since the
latest flush: those of a second at most.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import weakref
from typing import Protocol

from pipemon.instrument.log import log_once

INTERVAL = 1.0
"""Seconds between two flushes."""


class Flushable(Protocol):
    """What is flushed: the exporter of one registry."""

    @property
    def busy(self) -> bool:
        """Tell whether calls were in progress at the latest flush."""

    def flush_all(self) -> None:
        """Move every buffered call into the metrics; never raises."""

    def before_fork(self) -> None:
        """Wait until no flush is under way, flush, and let none begin."""

    def after_fork(self, *, in_child: bool) -> None:
        """Let flushes go on; in the child, begin anew."""


_LONGEST_WAIT = 1.0
"""Seconds that a fork waits for the thread's flush to end."""

_flushed: list[weakref.ref[Flushable]] = []
_thread: threading.Thread | None = None
_starting = threading.Lock()
_stopped = threading.Event()
_hooked: int | None = None
"""The process whose end is seen to."""


def add(exporter: Flushable) -> None:
    """Flush an exporter from now on, for as long as it lives."""
    _flushed.append(weakref.ref(exporter, _flushed.remove))


def start() -> None:
    """Start this process's flushing thread unless it runs. Nothing starts it before the first call."""
    global _thread, _stopped
    if _thread is not None or not _starting.acquire(blocking=False):
        return
    try:
        if _thread is None:
            _flush_when_a_worker_ends()
            stopped = threading.Event()
            thread = threading.Thread(target=_flush_until, args=(stopped,), name="pipemon-flush", daemon=True)
            thread.start()
            _stopped, _thread = stopped, thread
    except RuntimeError as error:  # at exit, or out of threads: scrapes and full buffers still flush
        log_once("thread", "no background flush: %s", error)
    finally:
        _starting.release()


def _living() -> list[Flushable]:
    return [exporter for reference in list(_flushed) if (exporter := reference()) is not None]


def _flush_until(stopped: threading.Event) -> None:
    while not stopped.wait(INTERVAL):
        flush_now()


def flush_now() -> None:
    """Move every buffered call of this process into the metrics; never raises."""
    for exporter in _living():
        exporter.flush_all()


def _flush_when_a_worker_ends() -> None:
    # Workers of multiprocessing and Celery end without atexit, but with these.
    global _hooked  # noqa: PLW0603
    if _hooked == os.getpid():
        return
    _hooked = os.getpid()
    process, util = map(sys.modules.get, ("multiprocessing.process", "multiprocessing.util"))
    if process is not None and util is not None and process.parent_process() is not None:
        util.Finalize(None, flush_now, exitpriority=0)
    celery = sys.modules.get("celery.signals")
    if celery is not None:
        celery.worker_process_shutdown.connect(_celery_worker_ends, dispatch_uid=__name__)


def _celery_worker_ends(**_: object) -> None:
    flush_now()


def _before_fork() -> None:
    # Python 3.12 and later warn of a fork beside a thread, even of one like ours that holds no lock meanwhile.
    global _thread
    thread, _thread = _thread, None
    if thread is not None and thread is not threading.current_thread():
        _stopped.set()
        thread.join(_LONGEST_WAIT)
    for exporter in _living():
        exporter.before_fork()


def _after_fork_in_parent() -> None:
    for exporter in _living():
        exporter.after_fork(in_child=False)
    # The next call starts the thread again, and only a call that has begun already, and ends, would wait for it.
    if any(exporter.busy for exporter in _living()):
        start()


def _after_fork_in_child() -> None:
    global _starting, _thread  # noqa: PLW0603
    _starting = threading.Lock()
    _thread = None  # threads don't survive a fork; the child's first call starts its own
    for exporter in _living():
        exporter.after_fork(in_child=True)


atexit.register(flush_now)
os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
