"""What a window of days counts, as the sum of what is recorded of each hour in it.

A rule that reads the counters of three days reads every sample of every replica, and does so every minute. The sum of
recorded pieces reads one series, and misses no reset: each piece has seen its own.
"""

from __future__ import annotations

from dataclasses import replace

from pipemon.generate.promql import Call, Subquery
from pipemon.generate.recordings import Measure, Recording


def added_up(whole: Measure, piece: Measure, window: float, length: float) -> Measure:
    """Return the measure of a window whose counts are the sums of a piece's, which is the same over `length` seconds.

    The pieces lie end to end and begin at multiples of their length, so the sum is as of up to one piece ago. Where
    it is evaluated at such a multiple itself, Prometheus 2 takes one piece more: of both sides of a ratio.
    """
    made = {
        long.recording.name: Recording(
            long.recording.name,
            Call("sum_over_time", (Subquery(short.recording.series(), window, length),)),
            long.recording.labels,
            (short.recording,),
        )
        for long, short in zip(whole.parts, piece.parts, strict=True)
    }
    return replace(
        whole,
        value=replace(whole.value, parts=tuple(made[each.name] for each in whole.value.parts)),
        count=made[whole.count.name] if whole.count else None,
        parts=tuple(replace(part, recording=made[part.recording.name]) for part in whole.parts),
    )
