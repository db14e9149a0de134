"""The edges of a pipeline that are known so far: declared, or seen in runs."""

from __future__ import annotations

from collections.abc import Iterable

from pipemon.topology import find_cycle


class Cascade:
    """What comes before each stage; never a cycle."""

    def __init__(self) -> None:
        self._after: dict[str, tuple[str, ...]] = {}

    def declare(self, stage: str, after: Iterable[str]) -> None:
        """Take the edges that the code says."""
        self._after[stage] = tuple(after)

    def see(self, stage: str, upstream: str) -> bool:
        """Take an edge seen in a run, and tell whether it is one.

        It is none where a loop goes back: a run that calls vad, asr, vad, asr has one edge, not two.
        """
        known = dict(self._after)
        known[stage] = (*known.get(stage, ()), upstream)
        if find_cycle(known):
            return False
        self._after[stage] = known[stage]
        return True
