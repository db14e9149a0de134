"""A run's token: which run, when, and which version of each stage served in it, as a short text for later.

    pm1.<base64url of: 16 bytes of the id, 6 of Unix milliseconds, 3 of a hash of the pipeline's name,
         groups of stages that share version and track, then a checksum or signature>

A group is a byte for the track, a byte for the version's length, the version in UTF-8, a byte for the number of
stages, and 3 bytes of a hash of each one's name. The end is 4 bytes of SHA-256 against garbling or, with a key, 16
bytes of HMAC-SHA256 against forging. Nothing of the run's input is in it; a version can be read from it by anybody.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import defaultdict
from collections.abc import Mapping
from typing import Literal, NamedTuple

from pipemon.catalogue import TRACKS

PREFIX = "pm1."
_ID, _TIME, _NAME, _SUM, _SIGNATURE = 16, 6, 3, 4, 16
_LONGEST = 255
_LONGEST_TOKEN = 8192

Flaw = Literal["plain", "garbled", "forged"]
Served = tuple[str, str]
"""A version and its track."""


class RunToken(NamedTuple):
    """What a token says. `started` is in Unix seconds."""

    id: str
    started: float
    pipeline: bytes
    stages: Mapping[bytes, Served]

    def served(self, pipeline: str, stage: str) -> Served | None:
        """Return the version and track of a stage in this run; None if it is not of this pipeline, or not told."""
        return self.stages.get(_name(stage)) if self.pipeline == _name(pipeline) else None


def write_token(id: str, started: float, pipeline: str, stages: Mapping[str, Served], key: bytes | None = None) -> str:
    """Return a token of letters, digits, `-`, `_` and one dot; `id` is 32 hex digits, `started` Unix seconds.

    A version of more than 255 bytes is left out, and so are more than 255 stages of one version.
    """
    groups: dict[Served, list[bytes]] = defaultdict(list)
    for stage, served in stages.items():
        groups[served].append(_name(stage))
    body = bytes.fromhex(id) + int(started * 1000).to_bytes(_TIME, "big") + _name(pipeline)
    for (version, track), names in groups.items():
        text = version.encode()
        if len(text) <= _LONGEST:
            few = names[:_LONGEST]
            body += bytes([TRACKS.index(track), len(text)]) + text + bytes([len(few)]) + b"".join(few)
    return PREFIX + urlsafe_b64encode(body + _end(body, key)).decode().rstrip("=")


def read_token(text: str, key: bytes | None = None) -> RunToken | Flaw:
    """Return what a token says, or why it can't be used; never raises for any text."""
    if not text.startswith(PREFIX):
        return "plain"
    try:
        encoded = text.removeprefix(PREFIX)[:_LONGEST_TOKEN]
        data = urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        size = _SUM if key is None else _SIGNATURE
        body, end = data[:-size], data[-size:]
        if key is None:
            if end != _end(body, None):
                return "garbled"
        else:
            from hmac import compare_digest  # noqa: PLC0415

            if not compare_digest(end, _end(body, key)):
                return "forged"
        return _parsed(body)
    except (ValueError, LookupError):  # not base64, not UTF-8, no such track, cut off
        return "garbled"


def _parsed(body: bytes) -> RunToken:
    stages: dict[bytes, Served] = {}
    at = _ID + _TIME + _NAME
    if len(body) < at:
        raise ValueError("cut off")
    while at < len(body):
        track, length = TRACKS[body[at]], body[at + 1]
        version = body[at + 2 : at + 2 + length].decode()
        at += 2 + length
        number = body[at]
        names = body[at + 1 : at + 1 + number * _NAME]
        if not version or len(names) != number * _NAME:
            raise ValueError("cut off")
        stages |= {names[place : place + _NAME]: (version, track) for place in range(0, len(names), _NAME)}
        at += 1 + number * _NAME
    started = int.from_bytes(body[_ID : _ID + _TIME], "big") / 1000
    return RunToken(body[:_ID].hex(), started, body[_ID + _TIME : _ID + _TIME + _NAME], stages)


def _name(text: str) -> bytes:
    from hashlib import sha256  # noqa: PLC0415  not while code only declares

    return sha256(text.encode()).digest()[:_NAME]


def _end(body: bytes, key: bytes | None) -> bytes:
    from hashlib import sha256  # noqa: PLC0415

    if key is None:
        return sha256(body).digest()[:_SUM]
    import hmac  # noqa: PLC0415

    return hmac.digest(key, body, "sha256")[:_SIGNATURE]
