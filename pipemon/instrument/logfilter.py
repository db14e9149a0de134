"""Log records that say which stage and run they come from."""

from __future__ import annotations

import logging

from pipemon.instrument.calls import current_stage
from pipemon.instrument.run import current


class LogFilter(logging.Filter):
    """Adds `pipeline`, `stage`, `version`, `track` and `run_id` to each record, empty outside of stages and runs.

        "filters": {"pipemon": {"()": "pipemon.LogFilter"}},
        "handlers": {"console": {"class": "logging.StreamHandler", "filters": ["pipemon"]}},
        "formatters": {"line": {"format": "%(stage)s %(run_id)s %(message)s"}},

    Put it on a handler, or on each logger; with a QueueHandler on that, since its listener is another thread.
    What a record already has, as from `extra`, stays. Never raises, and keeps every record that
    `logging.Filter(name)` keeps. Costs a look at each frame of the stack.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields."""
        pipeline = stage = version = track = run_id = ""
        try:
            key, run = current_stage(), current()
            if run is not None:
                pipeline, run_id = run.pipeline or "", run.id
            if key is not None:
                pipeline, stage, version, track = key.labels
        except Exception:  # noqa: BLE001  logging must go on
            pass
        has = record.__dict__.setdefault
        has("pipeline", pipeline)
        has("stage", stage)
        has("version", version)
        has("track", track)
        has("run_id", run_id)
        return super().filter(record)
