"""The webhook server."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

from aiohttp import web

from pipemon.errors import UnavailableError
from pipemon.receiver.lines import line
from pipemon.receiver.payload import Notification, PayloadError, parse

MAX_BODY_BYTES = 4 * 1024 * 1024
"""About two thousand alerts in one notification."""

_log = logging.getLogger("pipemon.receiver")


def receiver_app(deliver: Callable[[Notification], None]) -> web.Application:
    """Return the app: POST /alerts gives each notification to `deliver`, GET /healthz says that it runs.

    Answers 400 to what is not a notification and 413 to one that is too large, which Alertmanager does not
    send again; and 503, which it does, where `deliver` raises OSError.
    """

    async def alerts(request: web.Request) -> web.Response:
        try:
            notification = parse(await request.read())
        except PayloadError as error:
            return _refused(400, f"this is not an Alertmanager notification: {error}")
        except web.HTTPRequestEntityTooLarge:
            return _refused(413, f"a notification may have {MAX_BODY_BYTES} bytes")
        try:
            deliver(notification)
        except OSError as error:
            return _refused(503, f"the notification could not be delivered: {error.strerror or error}")
        return web.Response(text="ok\n")

    async def healthz(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.add_routes([web.post("/alerts", alerts), web.get("/healthz", healthz)])
    return app


@asynccontextmanager
async def listening(app: web.Application, host: str, port: int) -> AsyncIterator[int]:
    """Serve `app` while the block runs; gives the port, a free one where `port` is 0.

    Raises UnavailableError where the address can't be had.
    """
    # Alertmanager does not compress, so nothing is unpacked.
    runner = web.AppRunner(app, access_log=None, auto_decompress=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except (OSError, OverflowError) as error:
            raise UnavailableError(f"can't listen on {host}:{port}: {_cause(error)}") from None
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def serve(port: int, host: str = "127.0.0.1", write: Callable[[str], None] | None = None) -> None:
    """Print one line for each alert of each notification until SIGINT or SIGTERM.

    `write` takes the lines, by default standard output. Raises UnavailableError as `listening` does.
    """
    asyncio.run(_serve(host, port, write or _to_stdout))


async def _serve(host: str, port: int, write: Callable[[str], None]) -> None:
    def deliver(notification: Notification) -> None:
        now = datetime.now().astimezone()
        for alert in notification.alerts:
            write(line(alert, now))
        if notification.left_out:
            write(f"{now:%Y-%m-%d %H:%M:%S} and {notification.left_out} more that Alertmanager left out")

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with listening(receiver_app(deliver), host, port) as bound:
        write(f"Listening for Alertmanager on http://{host}:{bound}/alerts")
        await stop.wait()


def _cause(error: OSError | OverflowError) -> str:
    """Return the system's words, without those of asyncio around them."""
    number = getattr(error, "errno", None) or 0
    return os.strerror(number) if number > 0 else getattr(error, "strerror", None) or str(error)


def _to_stdout(text: str) -> None:
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)


def _refused(status: int, sentence: str) -> web.Response:
    _log.warning("Refused a notification: %s.", sentence)
    return web.Response(status=status, text=sentence + "\n")
