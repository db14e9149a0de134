"""Who may scrape a server of pipemon's own."""

from __future__ import annotations

import base64
import logging
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from fetching import Answer, fetch
from prometheus_client import CollectorRegistry

import pipemon
from pipemon.instrument.exposition.access import check_access

Expose = Callable[..., str]


@pytest.fixture
def expose(registry: CollectorRegistry) -> Iterator[Expose]:
    """Expose, and return the URL."""
    servers = []

    def expose(**options: Any) -> str:
        servers.append(pipemon.expose(0, addr="127.0.0.1", registry=registry, **options))
        scheme = "https" if "certfile" in options else "http"
        return f"{scheme}://127.0.0.1:{servers[-1].port}/metrics"

    yield expose
    for server in servers:
        server.close()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def write_certificate(authority: trustme.CA, folder: Path, name: str = "127.0.0.1") -> dict[str, Path]:
    certificate = authority.issue_cert(name)
    files = {"certfile": folder / "tls.crt", "keyfile": folder / "tls.key"}
    for key, blob in (("certfile", certificate.cert_chain_pems[0]), ("keyfile", certificate.private_key_pem)):
        new = folder / f"{key}.new"
        blob.write_to_path(str(new))
        new.rename(files[key])
    return files


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("shown", "status"),
    [
        ("", 401),
        (basic("prometheus", "s3cret:ü"), 200),
        (basic("prometheus", "s3cret"), 401),
        (basic("Prometheus", "s3cret:ü"), 401),
        ("Basic cHJvb", 401),
        ("Basic ü", 401),
        ("Bearer t0ken", 200),
        ("bearer t0ken", 200),
        ("Bearer t0ke", 401),
        ("Bearer", 401),
        ("Bearer ü", 401),
        ("Digest t0ken", 401),
    ],
)
def test_a_password_or_a_token_opens_where_there_are_both(expose: Expose, shown: str, status: int) -> None:
    url = expose(username="prometheus", password="s3cret:ü", bearer_token="t0ken")
    answer = fetch(url, Authorization=shown)
    assert answer.status == status
    if status == 401:
        assert answer.headers["www-authenticate"] == 'Basic realm="metrics", Bearer realm="metrics"'


def test_a_token_is_no_password(expose: Expose) -> None:
    url = expose(bearer_token="t0ken")
    assert fetch(url, Authorization=basic("", "t0ken")).status == 401
    assert fetch(url).headers["www-authenticate"] == 'Bearer realm="metrics"'


@pytest.mark.parametrize("around", [" {}", "\t{} \r\n", "\n{}\n\n"])
def test_space_around_a_secret_in_a_file_is_no_part_of_it_as_in_prometheus(
    expose: Expose, tmp_path: Path, around: str
) -> None:
    password, token = tmp_path / "password", tmp_path / "token"
    password.write_text(around.format("s3 cret"))
    token.write_text(around.format("t0ken"))
    url = expose(username="prometheus", password_file=password, bearer_token_file=token)
    assert fetch(url, Authorization=basic("prometheus", "s3 cret")).status == 200
    assert fetch(url, Authorization="Bearer t0ken").status == 200


def test_secret_files_are_read_at_each_scrape_and_without_one_nobody_gets_in(
    expose: Expose, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    password, token = tmp_path / "password", tmp_path / "token"
    password.write_text("first\n")
    token.write_text("t0ken\r\n")
    url = expose(username="prometheus", password_file=password, bearer_token_file=str(token))
    assert fetch(url, Authorization=basic("prometheus", "first")).status == 200
    assert fetch(url, Authorization="Bearer t0ken").status == 200
    password.write_text("second")
    assert fetch(url, Authorization=basic("prometheus", "first")).status == 401
    assert fetch(url, Authorization=basic("prometheus", "second")).status == 200
    token.write_text("")
    assert fetch(url, Authorization="Bearer ").status == 401
    password.unlink()
    assert fetch(url, Authorization=basic("prometheus", "")).status == 401
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2


def test_secrets_are_not_shown() -> None:
    assert "hidden" not in repr(check_access("prometheus", "hidden", None, "hidden", None))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"username": "prometheus"}, "username and password"),
        ({"password": "hidden"}, "username and password"),
        ({"username": "a:b", "password": "hidden"}, "'a:b'"),
        ({"username": "", "password": "hidden"}, "''"),
        ({"username": "a", "password": "hidden", "password_file": "x"}, "password or password_file, not both"),
        ({"username": "a", "password": ""}, "password can't be used: it is empty"),
        ({"bearer_token": "hidden", "bearer_token_file": "x"}, "bearer_token or bearer_token_file, not both"),
        ({"bearer_token_file": "missing"}, "bearer_token_file can't be used: .*'missing'"),
        ({"certfile": "x"}, "certfile and keyfile go together"),
        ({"keyfile": "x"}, "certfile and keyfile go together"),
        ({"client_cafile": "x"}, "client_cafile needs certfile and keyfile"),
        ({"certfile": "missing", "keyfile": "missing"}, "certificate can't be used .*missing"),
    ],
)
def test_what_does_not_fit_together_is_told_in_one_sentence(options: dict[str, str], told: str) -> None:
    with pytest.raises(pipemon.DeclarationError, match=told) as raised:
        pipemon.expose(0, addr="127.0.0.1", **options)  # type: ignore[arg-type]
    assert "hidden" not in str(raised.value)


def test_with_a_certificate_it_is_https_only_and_a_broken_connection_prints_nothing(
    expose: Expose, authority: trustme.CA, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    url = expose(**write_certificate(authority, tmp_path))
    assert fetch(url, tls=trusting(authority)).status == 200
    with pytest.raises(ssl.SSLCertVerificationError):
        fetch(url, tls=ssl.create_default_context())
    with pytest.raises(OSError):  # noqa: PT011  a reset or nothing, as it comes
        fetch(url.replace("https", "http"))
    assert capfd.readouterr() == ("", "")


def test_a_connection_that_says_nothing_holds_up_no_other(
    expose: Expose, authority: trustme.CA, tmp_path: Path
) -> None:
    url = expose(**write_certificate(authority, tmp_path))
    port = int(url.split(":")[2].split("/")[0])
    with socket.create_connection(("127.0.0.1", port)):
        assert fetch(url, tls=trusting(authority)).status == 200


def test_a_renewed_certificate_is_served_and_a_broken_one_is_not(
    expose: Expose, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old, new = trustme.CA(), trustme.CA()
    files = write_certificate(old, tmp_path)
    url = expose(**files)
    assert fetch(url, tls=trusting(old)).status == 200
    write_certificate(new, tmp_path)
    assert fetch(url, tls=trusting(new)).status == 200
    files["keyfile"].write_text("half a key")
    assert fetch(url, tls=trusting(new)).status == 200
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_clients_may_have_to_show_a_certificate(expose: Expose, authority: trustme.CA, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    url = expose(**write_certificate(authority, tmp_path), client_cafile=tmp_path / "ca.crt")

    def as_client(issuer: trustme.CA) -> Answer:
        context = trusting(authority)
        issuer.issue_cert("prometheus").configure_cert(context)
        return fetch(url, tls=context)

    assert as_client(authority).status == 200
    with pytest.raises(OSError):  # noqa: PT011  an alert or a reset, as it comes
        as_client(trustme.CA())
    with pytest.raises(OSError):  # noqa: PT011
        fetch(url, tls=trusting(authority))


def test_an_encrypted_key_is_an_error_and_nobody_is_asked_for_its_password(
    authority: trustme.CA, tmp_path: Path
) -> None:
    files = write_certificate(authority, tmp_path)
    key = serialization.load_pem_private_key(files["keyfile"].read_bytes(), None)
    files["keyfile"].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"password"),
        )
    )
    code = """
import os, sys
os.open(os.ttyname(0), os.O_RDWR)  # a session's first terminal is the one that OpenSSL asks at
import pipemon
try:
    pipemon.expose(0, addr="127.0.0.1", certfile=sys.argv[1], keyfile=sys.argv[2])
except pipemon.DeclarationError as error:
    print(error)
"""
    terminal, its_other_end = os.openpty()
    try:
        told = subprocess.run(
            [sys.executable, "-c", code, files["certfile"], files["keyfile"]],
            stdin=its_other_end,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
            start_new_session=True,
        )
    finally:
        os.close(terminal)
        os.close(its_other_end)
    assert told.stdout.startswith("expose: the certificate can't be used")


@pytest.mark.skipif(not socket.has_ipv6, reason="there is no IPv6 here")
def test_all_addresses_of_ipv6_can_be_listened_on(registry: CollectorRegistry) -> None:
    server = pipemon.expose(0, addr="::", registry=registry)
    try:
        assert fetch(f"http://[::1]:{server.port}/metrics").status == 200
    finally:
        server.close()


def test_disabled_nothing_listens_and_no_file_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "PIPEMON_DISABLED", "1")
    assert pipemon.expose(0, certfile="missing", keyfile="missing").port == 0
