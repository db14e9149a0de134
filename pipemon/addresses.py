"""Addresses of the web."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit


def web_address(text: str) -> SplitResult | None:
    """Return the parts of an address of the web: http or https, a host, and no blank; None if it is none."""
    try:
        parts = urlsplit(text)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts if valid and not re.search(r"\s", text) else None
