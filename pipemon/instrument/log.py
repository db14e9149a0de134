"""pipemon's one logger, and saying a thing once instead of once a call."""

from __future__ import annotations

import logging
import time

logger = logging.getLogger("pipemon")

_MOST_KEYS = 1000
_said: dict[object, float] = {}


def log_once(key: object, message: str, *args: object, every: float | None = None, exc: bool = False) -> None:
    """Log a warning the first time for `key`, or again once `every` seconds have passed.

    At most 1000 keys are remembered; further ones are not logged, so that a flood stays bounded.
    """
    now = time.monotonic()
    last = _said.get(key)
    if last is None and len(_said) >= _MOST_KEYS:
        return
    if last is not None and (every is None or now - last < every):
        return
    _said[key] = now
    logger.warning(message, *args, exc_info=exc)
