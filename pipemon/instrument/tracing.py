"""The OpenTelemetry span that a call is in, for exemplars and run ids; nothing here needs OpenTelemetry."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple


class Span(NamedTuple):
    """A span as W3C writes it: 32 and 16 lowercase hex digits, and the trace flags, of which 1 is `sampled`."""

    trace_id: str
    span_id: str
    flags: int = 1


def active_span() -> Span | None:
    """Return the sampled span that this code runs in; None without one, or where OpenTelemetry is not in use.

    A span that is not sampled is not stored anywhere, so a link to it would lead nowhere.
    """
    found = enclosing_span()
    return found if found is not None and found.flags & 1 else None


def enclosing_span() -> Span | None:
    """Return the span that this code runs in, sampled or not."""
    trace: Any = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    try:
        context = trace.get_current_span().get_span_context()
        if not context.is_valid:
            return None
        return Span(f"{context.trace_id:032x}", f"{context.span_id:016x}", int(context.trace_flags))
    except Exception:  # noqa: BLE001  another library's objects
        return None
