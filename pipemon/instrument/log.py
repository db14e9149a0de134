"""pipemon's one logger, and saying a thing once instead of once a call."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging

_MOST_KEYS = 1000


class Quietly:
    """Logs a warning the first time for a key, and again only when `every` seconds have passed.

    At most 1000 keys are remembered; further ones are not logged, so that a flood stays bounded.
    """

    def __init__(self, every: float | None = None) -> None:
        self._every = every
        self._said: dict[object, float] = {}

    def warn(self, key: object, message: str, *args: object, exc: bool = False, where: bool = False) -> None:
        """Log a warning, with the exception being handled if `exc`; if `where`, with its class and lines only.

        `where` is for exceptions of the user's code: their messages may hold the user's data.
        """
        now = time.monotonic()
        last = self._said.get(key)
        if last is None and len(self._said) >= _MOST_KEYS:
            return
        if last is not None and (self._every is None or now - last < self._every):
            return
        self._said[key] = now
        with suppress(Exception):  # a filter of the user's may raise
            logger().warning(message, *args, exc_info=_bare(sys.exc_info()[1]) if where else exc)


def logger() -> logging.Logger:
    """Return pipemon's logger. A process that logs nothing does not load what logs."""
    import logging  # noqa: PLC0415

    return logging.getLogger("pipemon")


def _bare(error: BaseException | None) -> BaseException | None:
    """Return an exception that prints the class and lines of `error`, without what it says and holds."""
    if error is None:
        return None
    from traceback import extract_tb, format_list  # noqa: PLC0415

    kind = type(error)
    bare = type(kind.__name__, (Exception,), {"__module__": kind.__module__, "__qualname__": kind.__qualname__})
    found: BaseException = bare("\n" + "".join(format_list(extract_tb(error.__traceback__))).rstrip())
    return found


_once = Quietly()
log_once = _once.warn
"""For what is said once a process."""
