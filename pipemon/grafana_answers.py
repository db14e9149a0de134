"""What an answer that is none of those asked for means, and what to do next: Grafana's, or of what stands before it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

_LONGEST = 300
_LONGEST_PAGE = 80
_ROOT = "give Grafana's root, what stands before /login or /d/ in a browser's address"
_ITS_TOKEN = "give an address where Grafana's token is enough"

Body = Mapping[str, object] | str | list[object] | None
"""What came with a status: JSON as it was read, or the text of something else."""


def is_grafanas(body: Body) -> bool:
    """Tell whether Grafana itself wrote an error: what stands before it, or another server, writes others."""
    return isinstance(body, Mapping) and isinstance(body.get("message"), str)


def no_such_route(body: Body) -> bool:
    """Tell whether Grafana has nothing at all at an address: of what it may have, it says what it has not."""
    return isinstance(body, Mapping) and str(body.get("message")).lower() == "not found" and not status_word(body)


def status_word(body: Body) -> str:
    """Return Grafana's word for why, such as `name-exists`, "" for none."""
    word = body.get("status") if isinstance(body, Mapping) else None
    return word if isinstance(word, str) else ""


def words(status: int, body: Body) -> str:
    """Return Grafana's own words, with the status."""
    said = body if isinstance(body, Mapping) else {}
    text = _line(" ".join(str(said.get(key) or "") for key in ("message", "error")))
    word = status_word(body)
    return f"{text or 'no reason given'} ({status}{f', {word}' if word else ''})"


def no_grafana(url: str, status: int = 200, body: Body = None) -> str:
    """Return that what answers at an address is no Grafana."""
    told = "" if status < 400 else f" ({_seen(status, body)})"
    tls = url.startswith("http:") and "HTTPS" in str(body).upper()
    return f"{url} does not answer as Grafana does{told}; {'write https://' if tls else _ROOT}"


def failed(url: str, status: int, body: Body) -> str:
    """Return what a server's error (5xx) means."""
    if is_grafanas(body):
        return f"Grafana at {url} failed: {words(status, body)}; its log says more"
    if status in (502, 503, 504):
        between = _through(url)[1:] or "a proxy"
        return f"{between} gets no answer of Grafana at {url} ({_seen(status, body)}); see that it runs, then try again"
    return no_grafana(url, status, body)


def refused(url: str, status: int, body: Body, action: str, permission: str) -> str:
    """Return what a refusal (4xx) means: of `action`, which takes a token with `permission`."""
    where = f"Grafana at {url}"
    match status, is_grafanas(body):
        case 401, True:
            return (
                f"{where} does not know the token: it is wrong, expired or another Grafana's (401); make one there"
                " for a service account"
            )
        case 401, False:
            return f"a proxy before {where} wants a login of its own ({_seen(status, body)}); {_ITS_TOKEN}"
        case 403, True:
            return (
                f"the token may not {action} in {where}: its service account needs the role Editor, or {permission}"
                " (403)"
            )
        case 403, False:
            return f"a proxy before {where} lets nobody {action} ({_seen(status, body)}); {_ITS_TOKEN}"
        case 404, True:
            if no_such_route(body):
                return no_grafana(url, status, body)
            return f"{where} can't {action}: {words(status, body)}; if somebody deleted it meanwhile, try again"
        case 407, _:
            return _proxy_login(url)
        case 413, _:
            return (
                f"a proxy before {where} takes nothing as large ({_seen(status, body)}); raise its limit"
                " (client_max_body_size in nginx)"
            )
        case 429, _:
            told = words(status, body) if is_grafanas(body) else _seen(status, body)
            return f"{where} refused: {told}; try again later"
        case _, True:
            return f"{where} refused: {words(status, body)}"
    return no_grafana(url, status, body)


def sent_on(url: str, asked: str, to: str) -> str:
    """Return where Grafana is, if the address that `asked` is sent on to tells it, or that it is none of its own."""
    there = urlsplit(urljoin(asked, to))
    path = urlsplit(asked).path.removeprefix(urlsplit(url).path.rstrip("/"))
    shown = there._replace(query="", fragment="", netloc=there.netloc.rpartition("@")[2])
    if path and there.path.endswith(path):
        root = shown._replace(path=there.path.removesuffix(path)).geturl()
        return f"{url} sends on to {root}; give that address"
    return f"{url} sends on to {shown.geturl()}, as to a browser's login; {_ROOT}, and where its token is enough"


def untrusted(url: str, reason: str) -> str:
    """Return what is wrong with a certificate, by OpenSSL's words."""
    where, why = f"Grafana at {url}", re.sub(r"^\[[^]]*\] (certificate verify failed: )?| \(_ssl.*\)$", "", reason)
    if "WRONG_VERSION_NUMBER" in reason:
        return f"{where} does not speak TLS; write http://, if that is meant"
    if "mismatch" in why:
        return f"the certificate of {where} is of another name; give the name that it is of: {why}"
    if "expired" in why or "not yet valid" in why:
        return f"the certificate of {where} has to be renewed, or this machine's clock set: {why}"
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        return f"the certificate of {where} is not trusted; name the authority's by --ca-file: {why}"
    return f"{where} speaks another TLS: {why}"


def unreached(url: str, reason: str) -> str:
    """Return that nothing answers, through which proxy, and what to look at."""
    if "407" in reason:
        return _proxy_login(url)
    if "certificate bundle" in reason:
        return f"REQUESTS_CA_BUNDLE names no file with certificates: {_line(reason)}"
    through = _through(url)
    look = "is the proxy right?" if through else "is the address right, and does it run?"
    if "without response" in reason and url.startswith("http:"):
        look = "if it speaks TLS, write https://"
    return f"Grafana at {url} can't be reached{through and f' through{through}'}: {_line(reason)}; {look}"


def _proxy_login(url: str) -> str:
    return f"{_through(url)[1:] or 'a proxy'} wants a user and a password (407): http://user:password@host:port"


def _through(url: str) -> str:
    """Return the proxy that the environment names for an address, "" for none."""
    parts = urlsplit(url)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all") or ""
    if not proxy or proxy_bypass(parts.hostname or ""):
        return ""
    return f" the proxy {re.sub(r'(?<=//)[^/?#]*@', '', proxy)}"


def _seen(status: int, body: Body) -> str:
    """Return a status with the first words of what came with it, as a person sees them in a browser."""
    if isinstance(body, Mapping):
        text = str(next(iter(body.values()), ""))
    else:
        text = re.sub(
            r"<(script|style|title)\b.*?</\1>|<[^>]*>", " ", body if isinstance(body, str) else "", flags=re.S
        )
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    # Most pages begin with the status.
    text = re.sub(rf"^\s*({status})?\s*({re.escape(phrase)})?\s*", "", _line(text), flags=re.IGNORECASE)
    shown = text if len(text) <= _LONGEST_PAGE else f"{text[: _LONGEST_PAGE - 1].rstrip()}…"
    return f"{status} {phrase}".rstrip() + (f": {shown}" if shown else "")


def _line(text: str) -> str:
    return " ".join(text.split())[:_LONGEST]
