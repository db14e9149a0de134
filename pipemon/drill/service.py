"""A service that allows drills, over HTTP."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from pipemon.addresses import web_address
from pipemon.errors import UnavailableError

PATH = "/-/drill"


class Service:
    """A process at `url`, such as http://127.0.0.1:9464. Every method raises UnavailableError, with one sentence."""

    def __init__(self, url: str, token: str, timeout: float = 10.0) -> None:
        if web_address(url) is None:
            raise UnavailableError(f"{url!r} is not the address of a service; write it as http://host:port")
        self.url = url.rstrip("/").removesuffix(PATH)
        self._token = token
        self._timeout = timeout
        self._pipeline = self._name = ""

    def allowed(self, pipeline: str) -> dict[str, Any]:
        """Return what drills of a pipeline may do: `longest` in seconds, `most` as a share."""
        for each in self._ask("GET", None).get("allowed", ()):
            if each.get("pipeline") == pipeline:
                return dict(each)
        raise UnavailableError(f"{self.url} allows no drills of the pipeline {pipeline!r}")

    def begin(
        self, pipeline: str, stage: str, effects: tuple[str, ...], seconds: float, share: float, track: str
    ) -> None:
        """Begin a drill."""
        asked = {"stage": stage, "effects": list(effects), "seconds": seconds, "share": share, "track": track}
        begun = self._ask("POST", {"pipeline": pipeline, **asked})
        self._pipeline, self._name = pipeline, str(begun["name"])

    def renew(self) -> bool:
        """Be heard of; tell whether the drill is still on."""
        return bool(self._ask("PUT", {"pipeline": self._pipeline, "name": self._name})["active"])

    def end(self) -> int:
        """End the drill, and return how many effects it had."""
        if not self._name:
            return 0
        ended = self._ask("DELETE", {"pipeline": self._pipeline, "name": self._name})
        self._name = ""
        return int(ended["effects"])

    def _ask(self, method: str, body: dict[str, Any] | None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        request = Request(self.url + PATH, data=data, headers=headers, method=method)
        try:
            with urlopen(request, timeout=self._timeout) as answer:
                found = json.load(answer)
        except HTTPError as error:
            with error:
                raise UnavailableError(f"{self.url} refused: {_reason(error)}") from None
        except ValueError:
            raise UnavailableError(
                f"{self.url} does not answer as a service that allows drills; "
                "give the root URL of one that calls pipemon.allow_drills"
            ) from None
        except (OSError, http.client.HTTPException) as error:
            cause = error.reason if isinstance(error, URLError) else error
            raise UnavailableError(f"{self.url} gives no answer about drills: {cause}") from None
        if not isinstance(found, dict):
            raise UnavailableError(f"{self.url} does not answer as a service that allows drills")
        return found


def _reason(error: HTTPError) -> str:
    try:
        return str(json.loads(error.read(4096))["error"])
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return f"{error.code} {error.reason}"
