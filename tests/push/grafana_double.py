"""A stand-in for Grafana's HTTP API, held to Grafana's own OpenAPI documents: each request and each answer.

It stores folders, dashboards and their versions, annotations, knows tokens, and refuses what Grafana refuses.
"""

from __future__ import annotations

import json
import os
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from openapi_core import Config, OpenAPI
from openapi_core.exceptions import OpenAPIError
from openapi_core.testing import MockRequest, MockResponse

SCHEMAS = Path(os.environ.get("PIPEMON_GRAFANA_SCHEMAS", Path(__file__).parents[3] / "shared" / "grafana"))
VERSIONS = ("13.0.0", "12.1.0")
EDITOR, VIEWER = "glsa_editor_1", "glsa_viewer_1"
ANNA = "anna"
AT = "2026-01-31T12:00:00Z"


class Refusal(Exception):
    """What Grafana answers instead of what was asked for."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        self.status, self.body = status, {"message": message} | ({"status": code} if code else {})


def read_document(version: str) -> dict[str, Any]:
    """Grafana's OpenAPI document, with no room for fields that it does not name. Skips, but not in CI, without it."""
    path = SCHEMAS / "openapi" / f"grafana-http-api-{version}.reconstructed.openapi3.json"
    if not path.exists():
        reason = f"no {path}; PIPEMON_GRAFANA_SCHEMAS names the folder"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    found: dict[str, Any] = json.loads(path.read_text())
    for schema in found["components"]["schemas"].values():
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
    return found


@dataclass
class Version:
    """One save of a dashboard."""

    content: dict[str, Any]
    folder: str
    message: str
    by: str


@dataclass
class GrafanaDouble:
    """What it stores, what was asked of it, and what was against the documents.

    `faulty` is answered instead, whatever is asked: status, type and text. `refuses` are the answers to saves of
    dashboards, by their title. `meanwhile` runs once before the next dashboard is saved. `behind` is the path that it
    is served under.
    """

    version: str
    document: OpenAPI
    folders: dict[str, str] = field(default_factory=dict)
    dashboards: dict[str, list[Version]] = field(default_factory=dict)
    annotations: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    against: list[str] = field(default_factory=list)
    faulty: tuple[int, str, str] | None = None
    refuses: dict[str, Refusal] = field(default_factory=dict)
    sends_to: str = ""
    slow: float = 0.0
    meanwhile: Callable[[], None] | None = None
    behind: str = ""
    url: str = ""

    def edit(self, uid: str, change: Callable[[dict[str, Any]], None], by: str = ANNA, message: str = "") -> None:
        """Save a dashboard as a person does."""
        last = self.dashboards[uid][-1]
        content = deepcopy(last.content)
        change(content)
        self.dashboards[uid].append(Version(content, last.folder, message, by))

    def now(self, uid: str) -> dict[str, Any]:
        """The dashboard as it is stored."""
        return self.dashboards[uid][-1].content

    def answer(self, method: str, path: str, query: dict[str, str], token: str, body: Any) -> Any:
        """What Grafana answers; raises Refusal."""
        if token not in (EDITOR, VIEWER):
            raise Refusal(401, "Invalid API key")
        if token == VIEWER and (method != "GET" or path.endswith("/versions")):
            raise Refusal(403, "You'll need additional permissions to perform this action.")
        match method, path.strip("/").split("/"):
            case "GET", ["folders", uid]:
                return self._folder(uid)
            case "POST", ["folders"]:
                return self._make_folder(body["uid"], body["title"])
            case "GET", ["dashboards", "uid", uid]:
                return self._dashboard(uid)
            case "GET", ["dashboards", "uid", uid, "versions"]:
                return self._versions(uid, int(query.get("limit", "0")))
            case "DELETE", ["dashboards", "uid", uid]:
                return self._delete(uid)
            case "POST", ["dashboards", "db"]:
                return self._save(body)
            case "POST", ["annotations"]:
                self.annotations.append(body)
                return {"id": len(self.annotations), "message": "Annotation added"}
            case "GET", ["annotations"]:
                found = ({"id": n, **each} for n, each in enumerate(self.annotations, 1))
                return [each for each in found if int(query["from"]) <= each["time"] <= int(query["to"])]
            case "PATCH", ["annotations", number]:
                if not 0 < int(number) <= len(self.annotations):
                    raise Refusal(404, "Could not find annotation to update")
                self.annotations[int(number) - 1] |= body
                return {"message": "Annotation patched"}
        raise Refusal(404, "Not found")

    def _folder(self, uid: str) -> dict[str, Any]:
        if uid not in self.folders:
            raise Refusal(404, "folder not found", "not-found")
        return {"uid": uid, "title": self.folders[uid], "id": 7, "url": f"/dashboards/f/{uid}", "version": 1}

    def _make_folder(self, uid: str, title: str) -> dict[str, Any]:
        if uid in self.folders or title in self.folders.values():
            raise Refusal(409, "a folder with the same name already exists in the current location", "name-exists")
        self.folders[uid] = title
        return self._folder(uid)

    def _there(self, uid: str) -> list[Version]:
        if uid not in self.dashboards:
            raise Refusal(404, "Dashboard not found", "not-found")
        return self.dashboards[uid]

    def _dashboard(self, uid: str) -> dict[str, Any]:
        saves = self._there(uid)
        meta = {"version": len(saves), "folderUid": saves[-1].folder, "provisioned": uid in self.files}
        meta |= {"updatedBy": saves[-1].by, "updated": AT, "provisionedExternalId": self.files.get(uid, "")}
        return {"dashboard": saves[-1].content | {"id": 3, "version": len(saves)}, "meta": meta}

    def _versions(self, uid: str, limit: int) -> Any:
        saves = list(enumerate(self._there(uid), 1))[::-1]
        found = [
            {"id": n, "uid": uid, "version": n, "created": AT, "createdBy": save.by, "message": save.message}
            for n, save in saves[: limit or None]
        ]
        return found if self.version < "13" else {"continueToken": "", "versions": found}

    def _delete(self, uid: str) -> dict[str, Any]:
        title = self._there(uid)[-1].content["title"]
        del self.dashboards[uid]
        return {"uid": uid, "title": title, "message": f"Dashboard {title} deleted"}

    def _save(self, body: dict[str, Any]) -> dict[str, Any]:
        if self.meanwhile:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        content = dict(body["dashboard"])
        uid, folder = content["uid"], body.get("folderUid", "")
        if folder and folder not in self.folders:
            raise Refusal(404, "folder not found", "not-found")
        if uid in self.files:
            raise Refusal(400, "Cannot save provisioned dashboard")
        if content["title"] in self.refuses:
            raise self.refuses[content["title"]]
        saves = self.dashboards.setdefault(uid, [])
        if saves and not body.get("overwrite") and content.get("version", 0) != len(saves):
            raise Refusal(412, "The dashboard has been changed by someone else", "version-mismatch")
        content.pop("version", None)
        saves.append(Version(content, folder, body.get("message", ""), "sa-1-pipemon"))
        return {"id": 3, "uid": uid, "status": "success", "title": uid, "url": f"/d/{uid}/{uid}"} | {
            "version": len(saves),
            "folderUid": folder,
        }


class _Handler(BaseHTTPRequestHandler):
    double: GrafanaDouble

    def do_GET(self) -> None:
        self._respond(b"")

    def do_DELETE(self) -> None:
        self._respond(b"")

    def do_POST(self) -> None:
        self._respond(self.rfile.read(int(self.headers["Content-Length"])))

    do_PATCH = do_POST

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _respond(self, data: bytes) -> None:
        double = self.double
        # As a proxy it is asked for whole addresses.
        parts = urlsplit(self.path)
        path = parts.path.removeprefix(double.behind)
        double.asked.append(f"{self.command} {path}")
        if double.slow:
            time.sleep(double.slow)
        if double.sends_to:
            self._send(302, "text/plain", b"", double.sends_to + path)
        elif double.faulty:
            status, kind, text = double.faulty
            self._send(status, kind, text.encode())
        else:
            self._send(*(self._page(path) or self._checked(path, dict(parse_qsl(parts.query)), data)))

    def _page(self, path: str) -> tuple[int, str, bytes] | None:
        """What Grafana answers to who asks outside its API, or for no part of it."""
        if path.startswith("/api/api/"):
            return 404, "application/json", b'{"message":"Not found","traceID":""}'
        return None if path.startswith("/api/") else (404, "text/html", b"<!DOCTYPE html><html>Grafana</html>")

    def _checked(self, path: str, query: dict[str, str], data: bytes) -> tuple[int, str, bytes]:
        double = self.double
        kind = self.headers.get("Content-Type", "")
        request = MockRequest("http://grafana", self.command, path, args=query, data=data, content_type=kind)
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        body = json.loads(data) if data else None
        try:
            double.document.validate_request(request)
            # Grafana would not look at others, and say nothing.
            known = double.document.unmarshal_request(request).parameters.query if query else {}
            if unknown := query.keys() - known.keys():
                double.against.append(f"request {self.command} {path} with {unknown}")
            found = double.answer(self.command, path.removeprefix("/api"), query, token * (scheme == "Bearer"), body)
            status = 200
        except Refusal as refusal:
            status, found = refusal.status, refusal.body
        except OpenAPIError as error:
            reasons = getattr(error.__cause__, "schema_errors", None) or error
            double.against.append(f"request {self.command} {path}: {reasons}")
            return 400, "application/json", b'{"message": "against the document"}'
        answered = json.dumps(found).encode()
        try:
            double.document.validate_response(request, MockResponse(answered, status))
        except OpenAPIError as error:
            reasons = getattr(error.__cause__, "schema_errors", None) or error
            double.against.append(f"answer {status} to {self.command} {path}: {reasons}")
        return status, "application/json", answered

    def _send(self, status: int, kind: str, body: bytes, location: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that went away."""


@contextmanager
def serving(double: GrafanaDouble, tls: ssl.SSLContext | None = None) -> Iterator[GrafanaDouble]:
    """Serve until the end of the block; afterwards nothing was against the documents."""
    handler = type("Handler", (_Handler,), {"double": double})
    server = _Server(("127.0.0.1", 0), handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    double.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}{double.behind}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield double
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert double.against == []


def opened(version: str) -> OpenAPI:
    """Read a document for the double."""
    # The documents are valid by openapi-spec-validator; doing it again takes seconds.
    return OpenAPI.from_dict(read_document(version), config=Config(spec_validator_cls=None))  # type: ignore[arg-type]
