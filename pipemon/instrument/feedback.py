"""Counting what is learned of a stage's output later."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pipemon.catalogue import FEEDBACK, FEEDBACK_SIGNALS, OTHER
from pipemon.errors import nearest
from pipemon.instrument.calls import StageKey
from pipemon.instrument.feature_series import Families
from pipemon.instrument.log import Quietly


class Feedback:
    """The feedback counters of one pipeline's stages: each known signal and slice, and `other`."""

    def __init__(self, slices: Iterable[str] = ()) -> None:
        self.slices = tuple(slices)
        self._counters: dict[str, dict[str, dict[str, Any]]] = {}
        self._quietly = Quietly()

    def add_stage(self, families: Families, key: StageKey, declared: Iterable[str]) -> None:
        """Show that a stage had no feedback yet."""
        family = families[FEEDBACK.name]
        slices = ("", *self.slices, *((OTHER,) if self.slices else ()))
        self._counters[key.stage] = {
            signal: {slice: family.labels(*key.labels, signal, slice) for slice in slices}
            for signal in (*FEEDBACK_SIGNALS, *declared, OTHER)
        }

    def count(self, signal: str, stage: str, slice: Mapping[str, object] | None = None) -> None:
        """Add one to a stage's signal; what was not declared is logged once, and never raises."""
        try:
            self._count(signal, stage, slice)
        except Exception:  # noqa: BLE001  such as a full disk under the files of multiprocess mode
            self._quietly.warn("count", "feedback could not be counted", exc=True)

    def _count(self, signal: str, stage: str, slice: Mapping[str, object] | None) -> None:
        signals = self._counters.get(str(stage))
        if signals is None:
            close = _close(stage, self._counters)
            self._quietly.warn(close, "feedback: there is no stage %s", close)
            return
        counters = signals.get(str(signal))
        if counters is None:
            message = "feedback on stage %s counts as %s: there is no signal %s"
            close = _close(signal, signals)
            self._quietly.warn((str(stage), close), message, stage, OTHER, close)
            counters = signals[OTHER]
        for name in self._names(slice):
            counters[name].inc()

    def _names(self, slice: Mapping[str, object] | None) -> Iterator[str]:
        """Yield the slices that one piece of feedback belongs to: that of all, without a name, and its own."""
        yield ""
        for name, member in (slice or {}).items():
            text = f"{name}={member}"
            if text in self.slices:
                yield text
                continue
            # Only declared names are logged: the value may be the user's data.
            self._quietly.warn("slice", "feedback: a value of slice %r is not declared and counts as %s", name, OTHER)
            if self.slices:
                yield OTHER


def _close(word: object, names: Iterable[str]) -> str:
    """Return what is safe to log of an unknown word: itself if it is nearly a name, else only the names."""
    names = list(names)
    near = nearest(str(word), names)
    return f"{str(word)!r}{near}" if near else f"of that name; the names are {', '.join(names)}"
