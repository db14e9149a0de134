"""Apps that serve the metrics inside a server that there is already."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry

from pipemon.instrument.exposition.scrape import Answer, Scrapes

if TYPE_CHECKING:
    from aiohttp import web

WSGIApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def wsgi_app(registry: CollectorRegistry | None = None) -> WSGIApp:
    """Return a WSGI app that serves the metrics at whatever path it is mounted, for Flask or Django.

    `registry` is by default prometheus_client's. In multiprocess mode any worker shows them all.
    """
    scrapes = Scrapes(registry)

    def metrics(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        answer = scrapes.answer(
            environ["REQUEST_METHOD"],
            environ.get("QUERY_STRING", ""),
            environ.get("HTTP_ACCEPT", ""),
            environ.get("HTTP_ACCEPT_ENCODING", ""),
        )
        start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", list(answer.headers.items()))
        return [answer.body]

    return metrics


class ASGIApp:
    """An ASGI app that serves the metrics. The event loop goes on meanwhile."""

    # Not a function: Starlette takes a function for a handler of its own kind, and an object for an app.

    def __init__(self, registry: CollectorRegistry | None) -> None:
        self._scrapes = Scrapes(registry)

    async def __call__(
        self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[dict[str, Any]], Awaitable[None]]
    ) -> None:
        """Answer an HTTP request."""
        if scope["type"] != "http":
            raise ValueError(f"the metrics are served over http, not {scope['type']}")
        told: dict[bytes, str] = {}
        for name, value in scope["headers"]:
            told[name] = ",".join(filter(None, (told.get(name), value.decode("latin-1"))))
        answer = await _meanwhile(
            lambda: self._scrapes.answer(
                scope["method"],
                scope["query_string"].decode("latin-1"),
                told.get(b"accept", ""),
                told.get(b"accept-encoding", ""),
            )
        )
        headers = [(name.lower().encode(), value.encode()) for name, value in answer.headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})


def asgi_app(registry: CollectorRegistry | None = None) -> ASGIApp:
    """Return an ASGI app that serves the metrics at whatever path it is mounted, for FastAPI or Starlette.

    `registry` is by default prometheus_client's. In multiprocess mode any worker shows them all.
    """
    return ASGIApp(registry)


def aiohttp_handler(
    registry: CollectorRegistry | None = None,
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Return a handler for aiohttp's router: `app.router.add_get("/metrics", pipemon.aiohttp_handler())`.

    `registry` is by default prometheus_client's. In multiprocess mode any worker shows them all. Raises
    ImportError where there is no aiohttp.
    """
    from aiohttp import web  # noqa: PLC0415  who has no aiohttp needs no handler for it

    scrapes = Scrapes(registry)

    async def metrics(request: web.Request) -> web.StreamResponse:
        accept, encoding = (",".join(request.headers.getall(name, [])) for name in ("Accept", "Accept-Encoding"))
        answer = await _meanwhile(lambda: scrapes.answer(request.method, request.query_string, accept, encoding))
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)

    return metrics


async def _meanwhile(work: Callable[[], Answer]) -> Answer:
    """Run `work` in a thread of its own: the loop's are the host's, and may all be busy."""
    # Whoever serves by these has them; to anybody else they would be a tenth of `import pipemon`.
    import asyncio  # noqa: PLC0415
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # another kind of event loop, such as Trio's
        return work()
    executor = ThreadPoolExecutor(1, thread_name_prefix="pipemon-scrape")
    try:
        return await loop.run_in_executor(executor, work)
    finally:
        executor.shutdown(wait=False)
