"""Whatever answers in Grafana's place, a sentence says what was wrong and what to do next."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from grafana_double import EDITOR, VERSIONS, GrafanaDouble, opened, serving

from pipemon import grafana_answers as answers
from pipemon.errors import UnavailableError
from pipemon.grafana import Grafana, RefusedError

HTML, JSON, TEXT = "text/html", "application/json", "text/plain"
ROOT = "give Grafana's root, what stands before /login or /d/ in a browser's address"
NGINX = (
    "<html><head><title>400 The plain</title></head><body><h1>400 Bad Request</h1><hr>sent to HTTPS port</body></html>"
)


@pytest.fixture(scope="module")
def double() -> Iterator[GrafanaDouble]:
    with serving(GrafanaDouble(VERSIONS[0], opened(VERSIONS[0]))) as found:
        yield found


@pytest.mark.parametrize(
    ("faulty", "words"),
    [
        ((500, JSON, '{"message": "disk full"}'), "Grafana at URL failed: disk full (500); its log says more"),
        (
            (502, HTML, "<html><h1>Bad gateway</h1></html>"),
            "a proxy gets no answer of Grafana at URL (502 Bad Gateway); see that it runs, then try again",
        ),
        ((503, TEXT, "no healthy upstream"), "(503 Service Unavailable: no healthy upstream); see that it runs"),
        ((500, HTML, "<html>Oops</html>"), f"Grafana does (500 Internal Server Error: Oops); {ROOT}"),
        ((404, HTML, "<html>nothing here</html>"), f"Grafana does (404 Not Found: nothing here); {ROOT}"),
        ((404, TEXT, "404 page not found"), "URL does not answer as Grafana does (404 Not Found: page not found); "),
        ((404, JSON, '{"detail": "Not Found"}'), "URL does not answer as Grafana does (404 Not Found); "),
        ((404, JSON, '{"error": "no such route"}'), "as Grafana does (404 Not Found: no such route); "),
        ((404, JSON, '{"message": "Not found"}'), "URL does not answer as Grafana does (404 Not Found); "),
        ((200, HTML, "<html>Please log in</html>"), f"URL does not answer as Grafana does; {ROOT}"),
        ((200, JSON, "{"), "URL does not answer as Grafana does; "),
        ((200, JSON, "[]"), "URL does not answer as Grafana does; "),
        ((200, JSON, "null"), "URL does not answer as Grafana does; "),
        ((204, JSON, ""), "URL does not answer as Grafana does; "),
        ((400, HTML, NGINX), "URL does not answer as Grafana does (400 Bad Request: sent to HTTPS port); write https://"),
        ((400, TEXT, "Client sent an HTTP request to an HTTPS server."), "server.); write https://"),
        ((401, TEXT, "Unauthorized"), "a proxy before Grafana at URL wants a login of its own (401 Unauthorized); "),
        ((401, JSON, '{"message": "Invalid API key"}'), "Grafana at URL does not know the token"),
        ((403, HTML, "<html>Blocked</html>"), "lets nobody read folders (403 Forbidden: Blocked); give an address"),
        ((407, TEXT, ""), "a proxy wants a user and a password (407): http://user:password@host:port"),
        ((413, HTML, ""), "takes nothing as large (413 Request Entity Too Large); raise its limit (client_max_body"),
        ((429, JSON, '{"message": "slow down"}'), "Grafana at URL refused: slow down (429); try again later"),
    ],
)  # fmt: skip
def test_an_answer_that_is_none_is_told_with_what_to_do(
    double: GrafanaDouble, faulty: tuple[int, str, str], words: str
) -> None:
    double.faulty = faulty
    with pytest.raises(UnavailableError) as told:
        Grafana(double.url, EDITOR).folder("pipemon")
    assert words in str(told.value).replace(double.url, "URL")
    assert told.value.exit_code == 2
    assert not isinstance(told.value, RefusedError)


def test_nothing_is_said_to_be_made_that_no_grafana_confirms(double: GrafanaDouble) -> None:
    double.faulty = (200, JSON, "null")
    with pytest.raises(UnavailableError, match="does not answer as Grafana does"):
        Grafana(double.url, EDITOR).make_folder("pipemon", "pipemon")


@pytest.mark.parametrize(
    ("to", "words"),
    [
        ("https://grafana.example/api/folders/x", "sends on to https://grafana.example; give that address"),
        ("/ops/grafana/api/folders/x", "sends on to http://here/ops/grafana; give that address"),
        ("/login", "sends on to http://here/login, as to a browser's login; give Grafana's root"),
        ("https://me:pw@sso.example/auth?state=secret", "sends on to https://sso.example/auth, as to a browser's"),
    ],
)  # fmt: skip
def test_where_a_redirection_leads_is_told_without_what_is_secret(to: str, words: str) -> None:
    told = answers.sent_on("http://here/grafana", "http://here/grafana/api/folders/x", to)
    assert told.startswith(f"http://here/grafana {words}")
    assert "secret" not in told
    assert "pw" not in told


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired (_ssl.c:1)", "renewed"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate (_ssl.c:1)", "--ca-file"),
        ("[SSL: TLSV1_ALERT_PROTOCOL_VERSION] tlsv1 alert protocol version (_ssl.c:1)", "another TLS: tlsv1 alert"),
    ],
)
def test_what_is_wrong_with_a_certificate_is_told(reason: str, words: str) -> None:
    told = answers.untrusted("https://here", reason)
    assert words in told
    assert "_ssl" not in told


def test_the_proxy_that_is_in_between_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://me:secret@proxy:3128")
    monkeypatch.setenv("no_proxy", "near")
    told = answers.unreached("https://far", "Connection refused")
    assert told == (
        "Grafana at https://far can't be reached through the proxy http://proxy:3128: Connection refused;"
        " is the proxy right?"
    )
    assert "proxy" not in answers.unreached("https://near", "Connection refused")
    assert answers.unreached("https://far", "Tunnel connection failed: 407 Proxy Authentication Required").startswith(
        "the proxy http://proxy:3128 wants a user and a password (407)"
    )
    assert answers.failed("https://far", 502, "").startswith("the proxy http://proxy:3128 gets no answer of Grafana")
