"""Who may scrape: TLS, basic authentication, bearer tokens."""

from __future__ import annotations

import base64
import os
import ssl
from dataclasses import dataclass, field
from hmac import compare_digest
from pathlib import Path
from threading import Lock

from pipemon.errors import DeclarationError
from pipemon.instrument.log import log_once

StrPath = str | os.PathLike[str]


@dataclass(frozen=True)
class Secret:
    """A password or token, given or kept in a file; the file is read at each use, so that it can be replaced."""

    name: str
    value: str | None = field(default=None, repr=False)
    file: Path | None = None

    def read(self) -> bytes:
        """Return it, as Prometheus reads it: without the space around it in a file.

        Raises OSError or ValueError where it can't be had.
        """
        secret = self.value.encode() if self.file is None and self.value else b""
        if self.file is not None:
            secret = self.file.read_bytes().strip()
        if not secret:
            raise ValueError("it is empty")
        return secret


@dataclass(frozen=True)
class Access:
    """Whom a server lets in: who shows either of the credentials there are; everybody if there are none."""

    username: str | None = None
    password: Secret | None = None
    token: Secret | None = None

    def permits(self, authorization: str) -> bool:
        """Tell whether an Authorization header shows one of the credentials."""
        if self.password is None and self.token is None:
            return True
        scheme, _, shown = authorization.strip().partition(" ")
        try:
            if scheme.lower() == "basic" and self.password is not None:
                return compare_digest(_decoded(shown), f"{self.username}:".encode() + self.password.read())
            if scheme.lower() == "bearer" and self.token is not None:
                return compare_digest(shown.strip().encode(), self.token.read())
        except (OSError, ValueError) as error:
            log_once(("secret", str(error)), "nobody may scrape: the secret can't be read: %s", error)
        return False

    @property
    def challenge(self) -> str:
        """The WWW-Authenticate header of a refusal."""
        schemes = (("Basic", self.password), ("Bearer", self.token))
        return ", ".join(f'{name} realm="metrics"' for name, secret in schemes if secret is not None)


def _decoded(shown: str) -> bytes:
    try:
        return base64.b64decode(shown.strip(), validate=True)
    except ValueError:
        return b""


class Certificate:
    """A server's certificate; replaced files count from the next connection on."""

    def __init__(self, certfile: Path, keyfile: Path, client_cafile: Path | None) -> None:
        self._files = tuple(file for file in (certfile, keyfile, client_cafile) if file is not None)
        self._lock = Lock()
        try:
            self._seen = self._status()
            self._context = self._load()
        except (OSError, ValueError) as error:
            files = ", ".join(map(str, self._files))
            raise DeclarationError(f"expose: the certificate can't be used ({files}): {error}") from None

    def context(self) -> ssl.SSLContext:
        """Return the context for a new connection."""
        with self._lock:
            try:
                if (found := self._status()) != self._seen:
                    self._context = self._load()
                    self._seen = found
            except (OSError, ValueError) as error:  # half replaced, perhaps: the next connection looks again
                log_once("certificate", "the new certificate can't be used, the old one stays: %s", error)
            return self._context

    def _status(self) -> list[tuple[int, int, int]]:
        return [(status.st_mtime_ns, status.st_ino, status.st_size) for status in map(os.stat, self._files)]

    def _load(self) -> ssl.SSLContext:
        certfile, keyfile, *client_cafile = self._files
        context = ssl.create_default_context(
            ssl.Purpose.CLIENT_AUTH, cafile=client_cafile[0] if client_cafile else None
        )
        if client_cafile:
            context.verify_mode = ssl.CERT_REQUIRED
        # With a password, if a wrong one: without, an encrypted key's would be asked for on the terminal.
        context.load_cert_chain(certfile, keyfile, password="")
        return context


def check_access(
    username: str | None,
    password: str | None,
    password_file: StrPath | None,
    bearer_token: str | None,
    bearer_token_file: StrPath | None,
) -> Access:
    """Return who is let in; raises DeclarationError where the arguments don't fit together."""
    word = _secret("password", password, password_file)
    token = _secret("bearer_token", bearer_token, bearer_token_file)
    if (username is None) != (word is None):
        raise DeclarationError("expose: username and password (or password_file) go together; one is missing")
    if username is not None and (not username or ":" in username):
        raise DeclarationError(f"expose: username {username!r} is empty or has a ':', which ends it in basic auth")
    return Access(username, word, token)


def check_certificate(
    certfile: StrPath | None, keyfile: StrPath | None, client_cafile: StrPath | None
) -> Certificate | None:
    """Return the certificate, None for plain HTTP; raises DeclarationError where it can't be used."""
    if (certfile is None) != (keyfile is None):
        raise DeclarationError("expose: certfile and keyfile go together; one is missing")
    if certfile is None or keyfile is None:
        if client_cafile is not None:
            raise DeclarationError(
                "expose: client_cafile needs certfile and keyfile, as only HTTPS has client certificates"
            )
        return None
    return Certificate(Path(certfile), Path(keyfile), None if client_cafile is None else Path(client_cafile))


def _secret(name: str, value: str | None, file: StrPath | None) -> Secret | None:
    if value is None and file is None:
        return None
    if value is not None and file is not None:
        raise DeclarationError(f"expose: give {name} or {name}_file, not both")
    secret = Secret(name, value, None if file is None else Path(file))
    try:
        secret.read()
    except (OSError, ValueError) as error:
        where = name if file is None else f"{name}_file"
        raise DeclarationError(f"expose: {where} can't be used: {error}") from None
    return secret
