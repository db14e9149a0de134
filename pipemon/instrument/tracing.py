"""The OpenTelemetry span that a call is in, for exemplars and run ids; nothing here needs OpenTelemetry."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Span:
    """A span as W3C writes it: 32 and 16 lowercase hex digits."""

    trace_id: str
    span_id: str


def active_span() -> Span | None:
    """Return the sampled span that this code runs in; None without one, or where OpenTelemetry is not in use.

    A span that is not sampled is not stored anywhere, so a link to it would lead nowhere.
    """
    trace: Any = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    try:
        context = trace.get_current_span().get_span_context()
        if not (context.is_valid and context.trace_flags.sampled):
            return None
        return Span(f"{context.trace_id:032x}", f"{context.span_id:016x}")
    except Exception:  # noqa: BLE001  another library's objects
        return None
