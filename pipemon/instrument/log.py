"""pipemon's one logger, and saying a thing once instead of once a call."""

from __future__ import annotations

import logging
import time
from contextlib import suppress

logger = logging.getLogger("pipemon")

_MOST_KEYS = 1000


class Quietly:
    """Logs a warning the first time for a key, and again only when `every` seconds have passed.

    At most 1000 keys are remembered; further ones are not logged, so that a flood stays bounded.
    """

    def __init__(self, every: float | None = None) -> None:
        self._every = every
        self._said: dict[object, float] = {}

    def warn(self, key: object, message: str, *args: object, exc: bool = False) -> None:
        """Log a warning, with the exception being handled if `exc`."""
        now = time.monotonic()
        last = self._said.get(key)
        if last is None and len(self._said) >= _MOST_KEYS:
            return
        if last is not None and (self._every is None or now - last < self._every):
            return
        self._said[key] = now
        with suppress(Exception):  # a filter of the user's may raise
            logger.warning(message, *args, exc_info=exc)


log_once = Quietly().warn
"""For what is said once a process."""
