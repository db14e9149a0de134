"""What pipemon asks of Prometheus' and Alertmanager's HTTP APIs. Blocking."""

from __future__ import annotations

import base64
import http.client
import ipaddress
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, unquote, urlencode
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

from pipemon.addresses import web_address
from pipemon.errors import UnavailableError
from pipemon.units import seconds

TOKEN = "PIPEMON_PROMETHEUS_TOKEN"
"""The variable with the bearer token for Prometheus."""

Parsed = TypeVar("Parsed")


@dataclass(frozen=True)
class Sample:
    """One series of an instant query's answer: labels, the metric's name under `__name__`, and value."""

    labels: dict[str, str]
    value: float


@dataclass(frozen=True)
class Series:
    """One series of a range query's answer; `points` are (Unix time, value), the oldest first."""

    labels: dict[str, str]
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class ActiveAlert:
    """An alert that Prometheus holds as `pending` or `firing`."""

    labels: dict[str, str]
    annotations: dict[str, str]
    state: str


@dataclass(frozen=True)
class Rule:
    """A loaded rule: `type` is `alerting` or `recording`, `health` `ok`, `err` or `unknown`.

    `state` (`inactive`, `pending`, `firing`) and `alerts` are an alerting rule's.
    """

    name: str
    group: str
    type: str
    query: str
    health: str
    last_error: str
    state: str
    labels: dict[str, str]
    alerts: tuple[ActiveAlert, ...]


@dataclass(frozen=True)
class Target:
    """A scrape target; `health` is `up`, `down` or `unknown`, `interval` in seconds, None where it is not told."""

    labels: dict[str, str]
    url: str
    health: str
    last_error: str
    interval: float | None = None


@dataclass(frozen=True)
class RoutedAlert:
    """An alert in Alertmanager; `inhibited_by` has the fingerprints of the alerts that hold it back."""

    labels: dict[str, str]
    annotations: dict[str, str]
    fingerprint: str
    state: str
    inhibited_by: tuple[str, ...]
    silenced_by: tuple[str, ...]
    starts_at: str


class Prometheus:
    """Prometheus at `url`, path prefix included: `http://localhost:9090`, `https://user:password@prometheus.example`.

    A bearer token is taken from $PIPEMON_PROMETHEUS_TOKEN, and sent with no redirection.

    Every method raises UnavailableError, with one sentence, if no usable answer comes in `timeout` seconds.
    """

    def __init__(self, url: str, timeout: float = 10.0) -> None:
        self._server = _Server("Prometheus", url, timeout)

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return self._server.url

    def query(self, promql: str, time: float | None = None) -> list[Sample]:
        """Return the instant vector (or one scalar) that `promql` gives at the Unix `time`; default: now."""
        form = {"query": promql} | ({} if time is None else {"time": repr(float(time))})
        return self._ask("/api/v1/query", _samples, form)

    def query_range(self, promql: str, start: float, end: float, step: float) -> list[Series]:
        """Return what `promql` gives from `start` to `end` (Unix times, both included) by `step` seconds."""
        form = {
            "query": promql,
            "start": repr(float(start)),
            "end": repr(float(end)),
            "step": repr(float(step)),
        }
        return self._ask("/api/v1/query_range", _series, form)

    def has_series(self, selector: str, start: float, end: float) -> bool:
        """Tell whether any series that `selector` picks has samples between two Unix times."""
        form = {"match[]": selector, "start": repr(float(start)), "end": repr(float(end)), "limit": "1"}
        return self._ask("/api/v1/series", bool, form)

    def retention(self) -> float | None:
        """Return how long it keeps samples, in seconds; None where only their size counts, or it does not say."""
        return self._ask("/api/v1/status/runtimeinfo", lambda data: _time(str(data["storageRetention"])))

    def external_labels(self) -> dict[str, str]:
        """Return the labels that it adds to all that it sends elsewhere: to Alertmanager, or to remote storage."""
        return self._ask("/api/v1/status/config", _external_labels)

    def rules(self) -> list[Rule]:
        """Return the loaded rules in the order of their evaluation."""
        return self._ask("/api/v1/rules", _rules)

    def targets(self) -> list[Target]:
        """Return the active scrape targets."""
        return self._ask("/api/v1/targets?state=active", _targets)

    def names(self) -> list[str]:
        """Return the names of all series that it has."""
        return self._ask("/api/v1/label/__name__/values", lambda data: [str(name) for name in data])

    def ready(self) -> bool:
        """Tell whether it serves queries by now."""
        return self._server.ready()

    def reload(self) -> None:
        """Make it read its configuration and rules again; needs `--web.enable-lifecycle`."""
        self._server.fetch("/-/reload", {})

    def _ask(self, path: str, parse: Callable[[Any], Parsed], form: Mapping[str, str] | None = None) -> Parsed:
        return self._server.parsed(path, lambda answer: parse(answer["data"]), form)


class Alertmanager:
    """Alertmanager at `url`, path prefix included: `http://localhost:9093`. Raises as Prometheus does."""

    def __init__(self, url: str, timeout: float = 10.0) -> None:
        self._server = _Server("Alertmanager", url, timeout)

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return self._server.url

    def alerts(self) -> list[RoutedAlert]:
        """Return the alerts that have not resolved, those that are held back or silenced included."""
        return self._server.parsed("/api/v2/alerts", _routed)

    def ready(self) -> bool:
        """Tell whether it takes alerts by now."""
        return self._server.ready()

    def reload(self) -> None:
        """Make it read its configuration again."""
        self._server.fetch("/-/reload", {})

    def metrics(self) -> str:
        """Return its own page of metrics."""
        return self._server.fetch("/metrics").decode(errors="replace")


def read_page(url: str, timeout: float = 10.0) -> str:
    """Return the text at `url`. Raises UnavailableError, with one sentence, if none comes in `timeout` seconds."""
    return _Server("a page of metrics", url, timeout).fetch("").decode(errors="replace")


def page_samples(url: str) -> list[Sample]:
    """Return the samples on a page of metrics. Raises UnavailableError if there is none that can be read."""
    from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415 not for every command

    page = read_page(url)
    try:
        families = list(text_string_to_metric_families(page))
    except (ValueError, KeyError, IndexError):
        raise UnavailableError(f"{public(url)} is no page of metrics; is it the right address?") from None
    return [
        Sample({"__name__": sample.name, **sample.labels}, float(sample.value))
        for family in families
        for sample in family.samples
    ]


def public(url: str) -> str:
    """Return an address as it may be shown: without the user and the password in it."""
    return re.sub(r"(?<=//)[^/?#]*@", "", url)


def _credentials(name: str, parts: SplitResult) -> str:
    """Return the header that says who asks, "" for nobody: by user and password, or by a token for Prometheus."""
    if "@" in parts.netloc:
        user = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
        return f"Basic {base64.b64encode(user.encode()).decode()}"
    token = os.environ.get(TOKEN, "").strip() if name == "Prometheus" else ""
    if not re.fullmatch("[!-~]*", token):
        raise UnavailableError(f"the token in {TOKEN} has characters that no token has")
    return f"Bearer {token}" if token else ""


class _SameMethod(HTTPRedirectHandler):
    """Refuses to turn a redirected POST into a GET, which would ask something else."""

    def redirect_request(self, req: Request, *args: Any) -> Request | None:
        return super().redirect_request(req, *args) if req.get_method() == "GET" else None


class _Server:
    def __init__(self, name: str, url: str, timeout: float) -> None:
        parts = web_address(url)
        if parts is None:
            raise UnavailableError(f"{public(url)!r} is not the address of {name}; write it as http://host:port")
        self.name, self.url, self._timeout = name, public(url).rstrip("/"), timeout
        self._credentials = _credentials(name, parts)
        self._opener = _opener(parts.hostname or "")

    def parsed(self, path: str, parse: Callable[[Any], Parsed], form: Mapping[str, str] | None = None) -> Parsed:
        body = self.fetch(path, form)
        try:
            return parse(json.loads(body))
        except (ValueError, TypeError, KeyError, IndexError, AttributeError):
            raise UnavailableError(
                f"{self.url} does not answer as {self.name} does; is it the right address?"
            ) from None

    def fetch(self, path: str, form: Mapping[str, str] | None = None) -> bytes:
        """Return the answer's body: of a GET, or, with a form, of a POST."""
        data = None if form is None else urlencode(form).encode()
        request = Request(self.url + path, data=data)
        if self._credentials:
            # Where the server sends on to is told none.
            request.add_unredirected_header("Authorization", self._credentials)
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                body: bytes = answer.read()
                return body
        except HTTPError as error:
            with error:
                told = f"{self.name} at {self.url} refused: {_reason(error)}"
                # The page of a process answers every path, and with these.
                if self.name == "Prometheus" and path.startswith("/api/") and error.code in (404, 405):
                    told += "; is it one? A process's page ends in /metrics"
                if error.code == 401:
                    told += "; write the address as https://user:password@host:port"
                    told += f", or set {TOKEN}" if self.name == "Prometheus" else ""
                raise UnavailableError(told) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            cause = error.reason if isinstance(error, URLError) else error
            cause = (isinstance(cause, OSError) and cause.strerror) or cause
            raise UnavailableError(
                f"{self.name} can't be reached at {self.url}: {cause or type(cause).__name__}"
            ) from None

    def ready(self) -> bool:
        try:
            self.fetch("/-/ready")
        except UnavailableError:
            return False
        return True


def _opener(host: str) -> OpenerDirector:
    try:
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    # A proxy from the environment can't reach this machine's own loopback addresses.
    return build_opener(_SameMethod(), *([ProxyHandler({})] if local else []))


def _reason(error: HTTPError) -> str:
    """Return the server's own words where it sent some: bad queries and reloads are told so."""
    try:
        text = error.read(4096).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException):
        text = ""
    try:
        told = json.loads(text)
        text = told["error"] if isinstance(told, dict) else told
    except (ValueError, KeyError):
        text = "" if text.startswith("<") else text
    return " ".join(f"{error.code} {error.reason}: {text}".split()).rstrip(": ")


def _samples(data: Any) -> list[Sample]:
    if data["resultType"] == "scalar":
        return [Sample({}, float(data["result"][1]))]
    return [Sample(dict(row["metric"]), float(row["value"][1])) for row in data["result"]]


def _series(data: Any) -> list[Series]:
    return [
        Series(dict(row["metric"]), tuple((float(time), float(value)) for time, value in row["values"]))
        for row in data["result"]
    ]


def _rules(data: Any) -> list[Rule]:
    return [
        Rule(
            name=rule["name"],
            group=group["name"],
            type=rule["type"],
            query=rule["query"],
            health=rule["health"],
            last_error=rule.get("lastError", ""),
            state=rule.get("state", ""),
            labels=dict(rule.get("labels") or {}),
            alerts=tuple(
                ActiveAlert(dict(alert["labels"]), dict(alert["annotations"]), alert["state"])
                for alert in rule.get("alerts") or ()
            ),
        )
        for group in data["groups"]
        for rule in group["rules"]
    ]


def _targets(data: Any) -> list[Target]:
    return [
        Target(
            labels=dict(target["labels"]),
            url=target["scrapeUrl"],
            health=target["health"],
            last_error=target["lastError"],
            interval=_time(target.get("scrapeInterval", "")),
        )
        for target in data["activeTargets"]
    ]


def _external_labels(data: Any) -> dict[str, str]:
    import yaml  # noqa: PLC0415 not for every command

    # By libyaml, where PyYAML has it: a configuration of a thousand jobs is a megabyte.
    loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
    try:
        told = yaml.load(data["yaml"], Loader=loader)["global"]
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
    return {str(name): str(value) for name, value in (told.get("external_labels") or {}).items()}


def _time(text: str) -> float | None:
    """Return the duration that a text begins with, in seconds: of `15d or 512MB`, that of 15d; None without one."""
    found = re.match(r"(?:[0-9]+(?:ms|[smhdwy]))+(?![a-zA-Z])", text)
    if found is None:
        return None
    days = re.sub(r"([0-9]+)y", lambda years: f"{int(years[1]) * 365}d", found[0])
    try:
        return seconds(days)
    except ValueError:
        return None


def _routed(data: Any) -> list[RoutedAlert]:
    return [
        RoutedAlert(
            labels=dict(alert["labels"]),
            annotations=dict(alert["annotations"]),
            fingerprint=alert["fingerprint"],
            state=alert["status"]["state"],
            inhibited_by=tuple(alert["status"]["inhibitedBy"]),
            silenced_by=tuple(alert["status"]["silencedBy"]),
            starts_at=alert["startsAt"],
        )
        for alert in data
    ]
