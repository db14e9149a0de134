"""Where drills are asked for: JSON over HTTP, with a bearer token.

GET tells what is allowed; POST begins a drill; PUT with its name is a sign of its client's life; DELETE ends it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from pipemon.instrument.drill import Drills, RefusalError, allowed
from pipemon.instrument.log import log_once

_LONGEST_BODY = 16 * 1024


def endpoint(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer a request, as a WSGI app. Never raises."""
    headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
    try:
        status, answer = 200, _answer(environ)
    except RefusalError as refusal:
        status, answer = refusal.status, {"error": str(refusal)}
        if status == 401:
            headers.append(("WWW-Authenticate", 'Bearer realm="drills"'))
    except Exception:  # noqa: BLE001
        log_once("drill request", "a request for a drill could not be answered", exc=True)
        status, answer = 500, {"error": "the service's log says why"}
    body = json.dumps(answer).encode() + b"\n"
    start_response(f"{status} {HTTPStatus(status).phrase}", [*headers, ("Content-Length", str(len(body)))])
    return [body]


def _answer(environ: dict[str, Any]) -> dict[str, Any]:
    scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").strip().partition(" ")
    permitted = [each for each in list(allowed.values()) if each.permits(token.strip())]
    if scheme.lower() != "bearer" or not permitted:
        raise RefusalError(401, "who may drill has a token")
    method = environ["REQUEST_METHOD"]
    if method == "GET":
        return {"allowed": [each.state() for each in permitted]}
    asked = _body(environ)
    drills = _of(permitted, _text(asked, "pipeline"))
    match method:
        case "POST":
            effects = asked.get("effects")
            if not isinstance(effects, list) or not all(isinstance(effect, str) for effect in effects):
                raise RefusalError(400, "effects is a list of texts")
            who = str(environ.get("REMOTE_ADDR", "somebody"))
            seconds, share = _number(asked, "seconds"), _number(asked, "share")
            return drills.begin(_text(asked, "stage"), effects, seconds, share, _text(asked, "track"), who)
        case "PUT":
            return drills.renew(_text(asked, "name"))
        case "DELETE":
            return drills.end(_text(asked, "name"))
    raise RefusalError(405, "use GET, POST, PUT or DELETE")


def _of(permitted: list[Drills], pipeline: str) -> Drills:
    for each in permitted:
        if each.pipeline.name == pipeline:
            return each
    raise RefusalError(404, f"no drills of the pipeline {pipeline!r} are allowed here")


def _body(environ: dict[str, Any]) -> dict[str, Any]:
    try:
        length = int(environ.get("CONTENT_LENGTH") or 0)
    except ValueError:
        length = -1
    if not 0 < length <= _LONGEST_BODY:
        raise RefusalError(413 if length > 0 else 400, f"a request has a body of at most {_LONGEST_BODY} bytes")
    try:
        asked = json.loads(environ["wsgi.input"].read(length))
    except (ValueError, RecursionError):
        asked = None
    if not isinstance(asked, dict):
        raise RefusalError(400, "a request is a JSON object")
    return asked


def _text(asked: dict[str, Any], name: str) -> str:
    found = asked.get(name)
    if not isinstance(found, str) or not found:
        raise RefusalError(400, f"{name} is a text")
    return found


def _number(asked: dict[str, Any], name: str) -> float:
    found = asked.get(name)
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise RefusalError(400, f"{name} is a number")
    return float(found)
