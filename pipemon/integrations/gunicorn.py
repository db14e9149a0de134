"""gunicorn: in `gunicorn.conf.py` write `from pipemon.integrations.gunicorn import *`.

Importing it there turns prometheus_client's multiprocess mode on, before the app is loaded: its files go to
PROMETHEUS_MULTIPROC_DIR, by default a new temporary folder. The hooks keep the folder clean. Any worker's
/metrics then shows all workers; so does `when_ready = metrics_server(port=9464)`, a server in the master, which
answers while every worker is busy. If PIPEMON_DISABLED is set, nothing of this happens.

Who has a hook of the same name calls this one in it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

from prometheus_client import multiprocess as files
from prometheus_client import values

from pipemon.instrument.exposition.server import expose
from pipemon.instrument.log import log_once
from pipemon.instrument.metrics import multiprocess
from pipemon.instrument.switch import disabled

__all__ = ["child_exit", "metrics_server", "on_exit", "on_starting"]

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_PREFIX = "pipemon-gunicorn-"
_RETRY = 1.0
"""Seconds."""


def _turn_on_multiprocess_mode() -> None:
    if disabled():
        return
    folder = os.environ.get(_FOLDER)
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
    else:
        os.environ[_FOLDER] = tempfile.mkdtemp(prefix=_PREFIX)
    if not multiprocess():
        # It decides this when it is imported, and that was just now; metrics that there are already stay as they are.
        values.ValueClass = values.get_value_class()  # type: ignore[no-untyped-call]


def on_starting(server: Any) -> None:
    """Remove the files of earlier masters; not for a new master beside one that runs (USR2)."""
    if disabled() or server.master_pid:
        return
    own = f"_{os.getpid()}.db"  # of a preloaded app
    for file in Path(os.environ[_FOLDER]).glob("*.db"):
        if not file.name.endswith(own):
            file.unlink(missing_ok=True)


def child_exit(server: Any, worker: Any) -> None:
    """Forget the calls in progress of a worker that ended; what it counted stays."""
    if not disabled():
        files.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(server: Any) -> None:
    """Remove the temporary folder."""
    folder = os.environ.get(_FOLDER, "")
    if not disabled() and Path(folder).name.startswith(_PREFIX):
        for _ in range(5):  # a worker's last flush may write while it is removed
            shutil.rmtree(folder, ignore_errors=True)
            if not Path(folder).exists():
                return
            time.sleep(0.1)


def metrics_server(port: int = 9464, addr: str = "0.0.0.0", **options: Any) -> Callable[[Any], None]:
    """Return a `when_ready` hook that serves the metrics of all workers from the master.

    Arguments are those of `pipemon.expose`. While the port is taken, as by a master that a new one is about to
    replace (USR2), it is tried again every second; gunicorn goes on.
    """

    def opened() -> bool:
        try:
            expose(port, addr, **options)
        except OSError as error:
            log_once(("gunicorn", port), "the metrics can't be served at port %s yet: %s", port, error)
            return False
        return True

    def keep_trying() -> None:
        while not opened():
            time.sleep(_RETRY)

    def when_ready(server: Any) -> None:
        if not opened():
            Thread(target=keep_trying, name="pipemon-gunicorn", daemon=True).start()

    return when_ready


_turn_on_multiprocess_mode()
