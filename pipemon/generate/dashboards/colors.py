"""Colours of series whose names nobody knows before: Grafana's own palettes have those of states, which say how it is.

Grafana picks a colour by a regular expression of the name. One counts letters, so that names which differ anywhere
hardly ever have the same colour, and a name has the same on all dashboards.
"""

from __future__ import annotations

from itertools import product

from pipemon.catalogue import FEEDBACK_SIGNALS, OTHER
from pipemon.generate.dashboards.panels import DATA_COLORS, NEUTRAL, override

LIGHTER = ("#54B4BD", "#B48DEB", "#C9A266", "#8A97E6", "#9ABFCF", "#C983AE")
"""DATA_COLORS once more: there are two of each hue, which are seen on white and on black."""
_LETTERS = ("13579elrst", "2367acghmprstu", "4567bcgiruvy")
"""Chosen so that the usual names of stages and features differ, and what is numbered from 0 to 7."""


def counted(letters: str, every: int, rest: int) -> str:
    """Return a regular expression of text in which some letters occur `rest` times, but for multiples of `every`."""
    one, others = f"[^{letters}]*[{letters}]", f"[^{letters}]*"
    return f"(?:(?:{one}){{{every}}})*" + one * rest + others


def _name(first: int, second: int, third: int) -> str:
    one, two, three = (counted(s, n, r) for s, n, r in zip(_LETTERS, (2, 3, 2), (first, second, third), strict=True))
    return f"/^(?={one}$)(?={two}$){three}$/i"


BY_NAME = tuple(
    override("byRegexp", _name(first, second, third), "color", {"mode": "fixed", "fixedColor": color})
    for third, colors in enumerate((DATA_COLORS, LIGHTER))
    for (first, second), color in zip(product(range(2), range(3)), colors, strict=True)
)
"""One of six hues, darker or lighter."""
SIGNAL_COLORS = {
    f"/(^| ){signal}$/": color
    for signal, color in zip(
        (*FEEDBACK_SIGNALS, OTHER), (DATA_COLORS[1], DATA_COLORS[0], DATA_COLORS[2], NEUTRAL), strict=True
    )
}
"""Of users' feedback, by the end of a series' name: a redo is to be seen beside what is accepted."""
TRACK_COLORS = {
    f"/^{of} {track}( |$)/i": color
    for of, colors in ((".*", DATA_COLORS), (counted("13579bdfhjlnprtvxz", 2, 0), LIGHTER))
    for track, color in zip(("stable", "canary", "shadow"), colors, strict=False)
}
"""A track has one hue, whatever the stage and the version. It is the darker or the lighter of two by whether the number
of odd letters and digits before is even: a version and the next one differ in that, and so do most stages."""

_LOW, _MIDDLE, _HIGH = (0xCF, 0xAF, 0x7F), (0x9B, 0x6A, 0xDB), (0x1F, 0x9E, 0x9E)


def _between(low: tuple[int, int, int], high: tuple[int, int, int], share: float) -> str:
    return "#" + "".join(f"{round(a + share * (b - a)):02X}" for a, b in zip(low, high, strict=True))


CONFIDENCE_COLORS = {
    f"/ {tenth / 10:.1f}$/".replace(".", r"\."): (
        _between(_LOW, _MIDDLE, (tenth - 1) / 4) if tenth <= 5 else _between(_MIDDLE, _HIGH, (tenth - 5) / 5)
    )
    for tenth in range(1, 11)
}
"""Of the tenths of a confidence, by the end of a series' name: along a scale, since they have an order."""
GPU_COLORS = {f"/GPU {gpu}$/": color for gpu, color in enumerate((*DATA_COLORS, *LIGHTER[:2]))}
"""Of the eight that a host has at most, as a rule, by the end of a series' name: by chance two would be alike."""
