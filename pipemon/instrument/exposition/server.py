"""A server of its own for the metrics."""

from __future__ import annotations

import socket
from socketserver import TCPServer
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import ThreadingWSGIServer

from pipemon.errors import DeclarationError
from pipemon.instrument.exposition.access import Access, Certificate, StrPath, check_access, check_certificate
from pipemon.instrument.exposition.apps import WSGIApp, wsgi_app
from pipemon.instrument.log import logger
from pipemon.instrument.switch import disabled
from pipemon.topology import being_described

_PATIENCE = 30.0
"""Seconds that a connection may be silent."""
_LAST_PORT = 65535
_LOOK = 0.1
"""Seconds after which the server's thread looks whether it is to end."""


class Exposition:
    """A running metrics server: `port` is where it listens, 0 if pipemon is disabled."""

    def __init__(self, server: Any, thread: Thread | None) -> None:
        self.port: int = server.server_port if server is not None else 0
        self._server = server
        self._thread = thread

    def close(self) -> None:
        """Stop serving and free the port. May be called twice."""
        server, self._server = self._server, None
        if server is not None and self._thread is not None:
            server.shutdown()
            server.server_close()
            self._thread.join()


def expose(
    port: int = 9464,
    addr: str = "0.0.0.0",  # Prometheus scrapes from another machine
    registry: CollectorRegistry | None = None,
    *,
    certfile: StrPath | None = None,
    keyfile: StrPath | None = None,
    client_cafile: StrPath | None = None,
    username: str | None = None,
    password: str | None = None,
    password_file: StrPath | None = None,
    bearer_token: str | None = None,
    bearer_token_file: StrPath | None = None,
) -> Exposition:
    """Serve the metrics over HTTP from a daemon thread; in multiprocess mode those of all workers.

    Args:
        port: where to listen; 0 takes a free port.
        addr: the address to listen on, by default all of IPv4; "::" is all.
        registry: whose metrics, by default prometheus_client's.
        certfile, keyfile: PEM files; with them it is HTTPS. Replaced files are read anew.
        client_cafile: PEM file; only clients with a certificate signed by it may connect.
        username, password: basic authentication; `password_file` names a file with the password instead.
        bearer_token: or a token; `bearer_token_file` names a file with it. With both a password and a token,
            either opens. Secret files are read at each scrape.

    Does nothing if PIPEMON_DISABLED is set, or while a command imports the module to learn its stages.

    Raises:
        OSError: the address is taken or unknown.
        DeclarationError: the port is none, the arguments don't fit together, or a file can't be used.
    """
    if disabled() or being_described.get():
        return Exposition(None, None)
    access = check_access(username, password, password_file, bearer_token, bearer_token_file)
    certificate = check_certificate(certfile, keyfile, client_cafile)
    return serve_app(_with_mounted(_guarded(wsgi_app(registry), access)), port, addr, certificate)


def serve_app(app: WSGIApp, port: int, addr: str, certificate: Certificate | None = None) -> Exposition:
    """Serve a WSGI app from a daemon thread.

    Raises OSError where the address is taken or unknown, DeclarationError for a port that is none.
    """
    if not isinstance(port, int) or isinstance(port, bool) or not 0 <= port <= _LAST_PORT:
        raise DeclarationError(f"a port is a whole number from 0, any that is free, to {_LAST_PORT}, not {port!r}")
    server = _listen(addr, port, app, certificate)
    thread = Thread(target=server.serve_forever, args=(_LOOK,), name="pipemon-expose", daemon=True)
    thread.start()
    return Exposition(server, thread)


mounted: dict[str, WSGIApp] = {}
"""Apps by their paths, beside the metrics on every server of `expose`; each lets in whom it likes."""


def _with_mounted(metrics: WSGIApp) -> WSGIApp:
    def routed(environ: Any, start_response: Any) -> Any:
        return mounted.get(environ.get("PATH_INFO", ""), metrics)(environ, start_response)

    return routed


def _guarded(app: WSGIApp, access: Access) -> WSGIApp:
    def guarded(environ: Any, start_response: Any) -> Any:
        if access.permits(environ.get("HTTP_AUTHORIZATION", "")):
            return app(environ, start_response)
        start_response("401 Unauthorized", [("WWW-Authenticate", access.challenge), ("Content-Type", "text/plain")])
        return [b"who may scrape has a password or a token\n"]

    return guarded


class _Silent(WSGIRequestHandler):
    """Writes nothing to the host's standard error."""

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: every scrape would be a line."""


def _listen(addr: str, port: int, app: WSGIApp, certificate: Certificate | None) -> ThreadingWSGIServer:
    try:
        family, *_, sockaddr = socket.getaddrinfo(addr, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as error:
        raise _refused(error, addr, port) from None

    class Server(ThreadingWSGIServer):
        address_family = family

        def server_bind(self) -> None:
            """Listen, without the look-up of this machine's name: a name server that is gone would hold up the host."""
            TCPServer.server_bind(self)
            self.server_name, self.server_port = str(sockaddr[0]), self.server_address[1]
            self.setup_environ()

        def finish_request(self, request: Any, client_address: Any) -> None:
            """Serve a connection, in its own thread: one that is silent or slow holds up no other."""
            request.settimeout(_PATIENCE)
            if certificate is None:
                super().finish_request(request, client_address)
                return
            with certificate.context().wrap_socket(request, server_side=True) as secured:
                super().finish_request(secured, client_address)

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Note a connection that broke: by default that is a traceback on standard error."""
            logger().debug("a connection to the metrics server broke", exc_info=True)

    try:
        return make_server(str(sockaddr[0]), port, app, Server, _Silent)
    except OSError as error:
        raise _refused(error, sockaddr[0], port) from None


def _refused(error: OSError, host: str | int, port: int) -> OSError:
    return OSError(error.errno, f"{error.strerror or error}: the metrics can't be served at {host}:{port}")
