"""What pipemon asks of Grafana's HTTP API, through grafana-client. Blocking."""

from __future__ import annotations

import re
import ssl
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import SplitResult, quote

import niquests.exceptions as failures
from grafana_client.api import GrafanaApi
from grafana_client.client import GrafanaClientError, GrafanaException, GrafanaServerError, GrafanaTimeoutError
from urllib3.exceptions import InsecureRequestWarning

from pipemon import grafana_answers as answers
from pipemon.addresses import web_address
from pipemon.errors import OptionError, UnavailableError

Answer = TypeVar("Answer")


class RefusedError(UnavailableError):
    """Grafana did not take what was sent. `status` is its word for why, such as `name-exists`, "" for none."""

    def __init__(self, message: str, status: str = "") -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Stored:
    """A dashboard as Grafana has it.

    `folder` is the folder's uid, "" for none; `file` the provisioning file that it comes from, else "".
    """

    content: dict[str, Any]
    version: int
    folder: str
    file: str


@dataclass(frozen=True)
class Save:
    """The last save of a dashboard: who, when (as Grafana writes it), and the words given with it."""

    version: int
    message: str
    by: str
    at: str


class Grafana:
    """Grafana at `url`, path prefix included: `https://grafana.example/monitoring`.

    `token` is of a service account. `ca_file` has the certificates to trust, by default the system's; `insecure`
    trusts any. Proxies come from the usual environment variables. There is no second try. Methods raise
    UnavailableError, with one sentence, if no usable answer comes in `timeout` seconds; OptionError for an
    address or a token that can't be one. No error tells the token.
    """

    def __init__(
        self, url: str, token: str, *, ca_file: Path | None = None, insecure: bool = False, timeout: float = 10.0
    ) -> None:
        parts = _address(url)
        if not re.fullmatch(r"[!-~]+", token):
            # The HTTP library would print it in its own error.
            raise OptionError("the token is no token: it has blanks, line breaks or letters beyond ASCII")
        if ca_file is not None:
            _check_certificates(ca_file)
        self.url, self._timeout = url.rstrip("/"), timeout
        prefix = parts.path.strip("/")
        host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else str(parts.hostname)
        self._api = GrafanaApi(
            token,
            host=host,
            port=parts.port,
            url_path_prefix=f"{prefix}/" if prefix else "",
            protocol=parts.scheme,
            verify=False if insecure else str(ca_file) if ca_file else True,
            timeout=timeout,
        )
        # A redirected POST would come as a GET, which asks something else.
        self._api.client.s.max_redirects = 0

    def folder(self, uid: str) -> str | None:
        """Return the title of a folder, or None if there is none."""
        try:
            found = self._ask("read folders", "folders:read", lambda: self._api.folder.get_folder(_part(uid)))
        except _AbsentError:
            return None
        return self._parsed(lambda: str(found["title"]))

    def make_folder(self, uid: str, title: str) -> None:
        """Make a folder. Raises RefusedError if there is one of this uid or title."""
        made = self._ask("make folders", "folders:create", lambda: self._api.folder.create_folder(title, uid))
        self._parsed(lambda: str(made["uid"]))

    def dashboard(self, uid: str) -> Stored | None:
        """Return a dashboard, or None if there is none."""
        try:
            found = self._ask(
                "read dashboards", "dashboards:read", lambda: self._api.dashboard.get_dashboard(_part(uid))
            )
        except _AbsentError:
            return None
        return self._parsed(lambda: _stored(found))

    def last_save(self, uid: str) -> Save | None:
        """Return the last save of a dashboard that is there, or None if Grafana keeps none."""

        def versions() -> Any:
            # The client's own method sends the limit where Grafana does not look for it.
            return self._api.client.GET(f"/dashboards/uid/{_part(uid)}/versions", params={"limit": 1})

        found = self._ask("read the history of dashboards", "dashboards:write", versions)
        return self._parsed(lambda: _save(found))

    def save(self, content: dict[str, Any], folder: str, message: str, version: int | None) -> int:
        """Save a dashboard over `version`, or as a new one, and return its version.

        Raises RefusedError if the version that Grafana has is another by now, the title is taken, or Grafana finds
        the dashboard not valid.
        """
        sent = content | ({} if version is None else {"version": version})
        body = {"dashboard": sent, "folderUid": folder, "message": message, "overwrite": False}
        answer = self._ask(
            "save dashboards", "dashboards:create, dashboards:write", lambda: self._api.dashboard.update_dashboard(body)
        )
        return self._parsed(lambda: int(answer["version"]))

    def delete(self, uid: str) -> None:
        """Delete a dashboard, whatever its version; one that is gone already is no error."""
        with suppress(_AbsentError):
            self._ask(
                "delete dashboards", "dashboards:delete", lambda: self._api.dashboard.delete_dashboard(_part(uid))
            )

    def annotate(self, text: str, tags: list[str], start: float) -> int:
        """Make an annotation that begins at a Unix time, for all dashboards that ask for one of its tags; its id."""
        body = {"time": round(start * 1000), "tags": tags, "text": text}
        answer = self._ask(
            "make annotations", "annotations:create", lambda: self._api.client.POST("/annotations", json=body)
        )
        return self._parsed(lambda: int(answer["id"]))

    def annotation(self, text: str, tags: list[str], start: float) -> int | None:
        """Return the id of an annotation that is there already, or None."""
        at = round(start * 1000)
        asked = {"tags": tags, "from": at - 1, "to": at + 1, "limit": 100, "type": "annotation"}
        found = self._ask(
            "read annotations", "annotations:read", lambda: self._api.client.GET("/annotations", params=asked)
        )
        same = (each["id"] for each in found if each["text"] == text and each["time"] == at)
        return self._parsed(lambda: next((int(number) for number in same), None))

    def end_annotation(self, number: int, end: float) -> None:
        """Let an annotation end at a Unix time; one that somebody has deleted is no error."""
        body = {"timeEnd": round(end * 1000)}
        with suppress(_AbsentError):
            self._ask(
                "change annotations",
                "annotations:write",
                lambda: self._api.client.PATCH(f"/annotations/{number}", json=body),
            )

    def _ask(self, action: str, permission: str, ask: Callable[[], Answer]) -> Answer:
        try:
            with warnings.catch_warnings():
                # Whoever asked for it knows.
                warnings.simplefilter("ignore", InsecureRequestWarning)
                return ask()
        except (GrafanaTimeoutError, failures.Timeout):
            told = (
                f"Grafana at {self.url} did not answer in {self._timeout:g} seconds; is it busy, or the address wrong?"
            )
            raise UnavailableError(told) from None
        except GrafanaServerError as error:
            raise UnavailableError(answers.failed(self.url, error.status_code, error.response)) from None
        except GrafanaClientError as error:
            raise self._refusal(error, action, permission) from None
        except failures.TooManyRedirects as error:
            found = error.response
            to = found.headers.get("Location", "") if found is not None else ""
            raise UnavailableError(
                answers.sent_on(self.url, str(found.url) if found is not None else self.url, to)
            ) from None
        except failures.JSONDecodeError:
            raise UnavailableError(answers.no_grafana(self.url)) from None
        except failures.SSLError as error:
            raise UnavailableError(answers.untrusted(self.url, _short(error))) from None
        except (failures.ChunkedEncodingError, failures.ContentDecodingError) as error:
            raise UnavailableError(f"the answer of {self.url} broke off: {_short(error)}; try again") from None
        except (GrafanaException, failures.RequestException, OSError, ValueError) as error:
            raise UnavailableError(answers.unreached(self.url, _short(error))) from None

    def _refusal(self, error: GrafanaClientError, action: str, permission: str) -> UnavailableError:
        status, body = error.status_code, error.response
        told = answers.refused(self.url, status, body, action, permission)
        if answers.is_grafanas(body):
            if status == 404 and not answers.no_such_route(body):
                return _AbsentError(told)
            if status in (400, 409, 412, 422):
                return RefusedError(told, answers.status_word(body))
        return UnavailableError(told)

    def _parsed(self, parse: Callable[[], Answer]) -> Answer:
        try:
            return parse()
        except (ValueError, TypeError, KeyError, IndexError, AttributeError):
            raise UnavailableError(answers.no_grafana(self.url)) from None


class _AbsentError(UnavailableError):
    """Grafana has no such thing."""


def _stored(answer: Any) -> Stored:
    meta = answer["meta"]
    provisioned = bool(meta.get("provisioned"))
    return Stored(
        content=dict(answer["dashboard"]),
        version=int(meta["version"]),
        folder=str(meta.get("folderUid") or ""),
        file=str(meta.get("provisionedExternalId") or "a provisioning file") if provisioned else "",
    )


def _save(answer: Any) -> Save | None:
    # A bare list before Grafana 13.
    saves = answer["versions"] if isinstance(answer, dict) else answer
    if not saves:
        return None
    last = max(saves, key=lambda save: int(save["version"]))
    return Save(
        int(last["version"]),
        str(last.get("message") or ""),
        str(last.get("createdBy") or "somebody"),
        str(last.get("created") or ""),
    )


def _address(url: str) -> SplitResult:
    """Return the parts of Grafana's address. Raises OptionError where it can't be one."""
    parts = web_address(url)
    if parts is None:
        raise OptionError("Grafana's address is no URL; write it as https://host:port, with a path if it has one")
    if parts.query or parts.fragment:
        raise OptionError("Grafana's address has a ? or # in it; give its root alone, as https://host:port")
    if parts.username or parts.password:
        raise OptionError("put no password into Grafana's address; make a token for a service account")
    return parts


def _check_certificates(file: Path) -> None:
    if not file.is_file():
        raise OptionError(f"there is no file {file}")
    try:
        ssl.create_default_context(cafile=file)
    except OSError as error:
        why = "it has no certificate as PEM" if isinstance(error, ssl.SSLError) else (error.strerror or "").lower()
        raise OptionError(f"the certificates can't be read from {file}: {why}") from None


def _part(uid: str) -> str:
    return quote(uid, safe="")


def _short(error: Exception) -> str:
    """Return the innermost reason of a chain of network errors."""
    inner: BaseException = error
    while (deeper := inner.__cause__ or inner.__context__) is not None:
        inner = deeper
    reason = getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
    return " ".join(str(reason).split())[:300]
