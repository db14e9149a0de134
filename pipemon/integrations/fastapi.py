"""FastAPI and Starlette: requests continue the run that their headers tell of, and /metrics is served."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.routing import Route

from pipemon.errors import DeclarationError
from pipemon.instrument.exposition.apps import asgi_app
from pipemon.instrument.run import Run
from pipemon.instrument.switch import disabled

_Message = MutableMapping[str, Any]
_App = Callable[[_Message, Callable[[], Awaitable[_Message]], Callable[[_Message], Awaitable[None]]], Awaitable[None]]


class RunMiddleware:
    """ASGI middleware: what an app does for a request or WebSocket is part of the run that its headers tell of.

    Without such headers it is a run of its own. Nothing is added to responses. For any ASGI app:
    `RunMiddleware(app)`.
    """

    def __init__(self, app: _App) -> None:
        self._app = app

    async def __call__(
        self,
        scope: _Message,
        receive: Callable[[], Awaitable[_Message]],
        send: Callable[[_Message], Awaitable[None]],
    ) -> None:
        """Serve one request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        told: dict[str, str] = {}
        for raw, value in scope["headers"]:
            name = raw.decode("latin-1")
            if name in ("traceparent", "tracestate"):  # the latter may come in several parts
                told[name] = ",".join(filter(None, (told.get(name), value.decode("latin-1"))))
        with Run.from_headers(told):
            await self._app(scope, receive, send)


def instrument(app: Starlette, *, metrics: str | None = "/metrics", registry: CollectorRegistry | None = None) -> None:
    """Let requests to `app`, a FastAPI or Starlette application, continue their runs, and serve the metrics.

    `metrics` is the path of the latter, before all others and not in the OpenAPI schema; None serves none.
    `registry` is by default prometheus_client's. Does nothing if PIPEMON_DISABLED is set, and nothing twice.

    Raises DeclarationError for a path that does not begin with "/", and for an app that serves already.
    """
    if metrics is not None and not metrics.startswith("/"):
        raise DeclarationError(f"metrics: a path begins with '/': {metrics!r}; did you mean '/{metrics}'?")
    installed: list[Any] = [each.cls for each in app.user_middleware]
    if disabled() or RunMiddleware in installed:
        return
    if app.middleware_stack is not None:
        raise DeclarationError("instrument(app) comes before the app serves its first request")
    app.add_middleware(RunMiddleware)
    if metrics is not None:
        # Not mounted: a mount answers /metrics with a redirect to /metrics/.
        app.router.routes.insert(0, Route(metrics, asgi_app(registry), include_in_schema=False))
