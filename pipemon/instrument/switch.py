"""The switch that turns all of pipemon off."""

from __future__ import annotations

import os


def disabled() -> bool:
    """Tell whether PIPEMON_DISABLED is set, and to neither 0, false nor no."""
    return os.environ.get("PIPEMON_DISABLED", "").strip().lower() not in ("", "0", "false", "no")
