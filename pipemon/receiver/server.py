"""The webhook server: takes notifications, shows its own metrics and what was done."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import ssl
import sys
from base64 import b64decode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from hmac import compare_digest
from http import HTTPStatus

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from pipemon.errors import UnavailableError
from pipemon.receiver.lines import line
from pipemon.receiver.measures import Measures
from pipemon.receiver.page import page
from pipemon.receiver.payload import Notification, PayloadError, parse
from pipemon.receiver.worker import Settings, working

MAX_BODY_BYTES = 4 * 1024 * 1024
"""About two thousand alerts in one notification."""

_log = logging.getLogger("pipemon.receiver")


def receiver_app(
    deliver: Callable[[Notification], None],
    measures: Measures | None = None,
    page: Callable[[], str] | None = None,
    token: str = "",
) -> web.Application:
    """Return the app: POST /alerts gives each notification to `deliver`, GET /healthz says that it runs.

    GET / is `page`, GET /metrics `measures`. With a `token`, alerts and the page want it as a bearer token or as the
    password of any user. Answers 400 to what is not a notification and 413 to one that is too large, which
    Alertmanager does not send again; and 503, which it does, where `deliver` raises OSError.
    """
    measures = measures or Measures(lambda: 0)

    async def alerts(request: web.Request) -> web.Response:
        if token and not _knows(request, token):
            return refused(401, "unauthorized", "it wants a bearer token, or it as a password")
        try:
            notification = parse(await request.read())
        except PayloadError as error:
            return refused(400, "malformed", f"this is not an Alertmanager notification: {error}")
        except web.HTTPRequestEntityTooLarge:
            return refused(413, "too_large", f"a notification may have {MAX_BODY_BYTES} bytes")
        measures.received(notification)
        try:
            deliver(notification)
        except OSError as error:
            return refused(503, "unavailable", f"the notification could not be delivered: {error.strerror or error}")
        return web.Response(text="ok\n")

    def refused(status: int, reason: str, sentence: str) -> web.Response:
        measures.refused(reason)
        _log.warning("Refused a notification: %s.", sentence)
        headers = {"WWW-Authenticate": 'Basic realm="pipemon"'} if status == HTTPStatus.UNAUTHORIZED else {}
        return web.Response(status=status, text=sentence + "\n", headers=headers)

    async def healthz(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=measures.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def shown(request: web.Request) -> web.Response:
        if page is None:
            raise web.HTTPNotFound
        if token and not _knows(request, token):
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="pipemon"'})
        # Nothing on it runs, and nobody frames it.
        headers = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"}
        return web.Response(text=page(), content_type="text/html", headers=headers)

    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.add_routes([web.post("/alerts", alerts), web.get("/healthz", healthz)])
    app.add_routes([web.get("/metrics", metrics), web.get("/", shown)])
    return app


def _knows(request: web.Request, token: str) -> bool:
    """Tell whether a request has the token."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            given = b64decode(given, validate=True).decode().partition(":")[2]
        except ValueError:
            return False
    elif scheme.lower() != "bearer":
        return False
    return compare_digest(given.strip().encode(), token.encode())


@asynccontextmanager
async def listening(
    app: web.Application, host: str, port: int, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Serve `app` while the block runs, with `tls` by HTTPS; gives the port, a free one where `port` is 0.

    Raises UnavailableError where the address can't be had.
    """
    # Alertmanager does not compress, so nothing is unpacked.
    runner = web.AppRunner(app, access_log=None, auto_decompress=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, ssl_context=tls)
        try:
            await site.start()
        except (OSError, OverflowError) as error:
            raise UnavailableError(f"can't listen on {host}:{port}: {_cause(error)}") from None
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def serve(
    port: int,
    host: str = "127.0.0.1",
    write: Callable[[str], None] | None = None,
    settings: Settings | None = None,
    tls: ssl.SSLContext | None = None,
) -> None:
    """Print a line for each alert that begins, ends or is repeated, until SIGINT or SIGTERM; do what `settings` say.

    `write` takes the lines, by default standard output; with `tls` it speaks HTTPS. Raises UnavailableError as
    `listening` does, and OptionError for a queue that can't be used.
    """
    asyncio.run(_serve(host, port, write or _to_stdout, settings or Settings(), tls))


async def _serve(
    host: str, port: int, write: Callable[[str], None], settings: Settings, tls: ssl.SSLContext | None
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with working(settings, write) as worker:

        def deliver(notification: Notification) -> None:
            now = datetime.now().astimezone()
            news = worker.take(notification)
            # A group is told whole when one of its alerts changes; where none did, Alertmanager repeats it on purpose.
            # Prometheus sends what has resolved for a while yet, and Alertmanager tells each such group once more.
            repeated = () if any(alert.status == "resolved" for alert in notification.alerts) else notification.alerts
            for alert in news or repeated:
                write(line(alert, now, again=not news))
            if notification.left_out:
                write(f"{now:%Y-%m-%d %H:%M:%S} and {notification.left_out} more that Alertmanager left out")

        def shown() -> str:
            return page(worker.queue, datetime.now().astimezone())

        app = receiver_app(deliver, worker.measures, shown, settings.token)
        async with listening(app, host, port, tls) as bound:
            write(f"Listening for Alertmanager on http{'s' * (tls is not None)}://{host}:{bound}/alerts")
            await stop.wait()


def _cause(error: OSError | OverflowError) -> str:
    """Return the system's words, without those of asyncio around them."""
    number = getattr(error, "errno", None) or 0
    return os.strerror(number) if number > 0 else getattr(error, "strerror", None) or str(error)


def _to_stdout(text: str) -> None:
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)
