"""Which Prometheus knows which function: what pipemon writes works in all of them, what a person writes may not."""

from __future__ import annotations

PROMETHEUS = ("2.42", "2.53", "3.5")
"""The versions of Debian bookworm, trixie and sid, oldest first; each is tested."""

_KNOWN_BY = {
    "histogram_avg": ("2.53", "3.5"),
    "histogram_stddev": ("2.53", "3.5"),
    "histogram_stdvar": ("2.53", "3.5"),
    "holt_winters": ("2.42", "2.53"),
}
"""The versions that know a function which not all know; from `promql/parser/functions.go` of each."""

_EXPERIMENTAL = frozenset(
    {
        "double_exponential_smoothing", "first_over_time", "info", "limit_ratio", "limitk", "mad_over_time",
        "sort_by_label", "sort_by_label_desc", "ts_of_last_over_time", "ts_of_max_over_time", "ts_of_min_over_time",
    }
)  # fmt: skip


def unknown(function: str, versions: tuple[str, ...] = PROMETHEUS) -> str:
    """Return where a PromQL function does not work, as a clause, or ""."""
    if function in _EXPERIMENTAL:
        return f"{function} is experimental: a Prometheus knows it only by a feature flag, if at all"
    lacking = [version for version in versions if version not in _KNOWN_BY.get(function, versions)]
    return f"{function} is not in Prometheus {' and '.join(lacking)}" if lacking else ""
