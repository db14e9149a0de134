"""When what happens in a rule test: it turns bad, is judged, turns good, and has resolved."""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

from pipemon.generate.ruletests.steps import tested_every
from pipemon.generate.ruletests.values import margin
from pipemon.spec import reads as r
from pipemon.spec.model import FailureMode, Spec
from pipemon.spec.signals import SIGNALS
from pipemon.units import duration


class Clock(NamedTuple):
    """A case's times in steps: it turns bad, is judged, turns good, has resolved.

    `early` is just before it may fire, `lasting` just before it may resolve; None where neither can be told.
    `after` is when what it is compared with is clean again, for what is compared with the hour before. `run` is
    how many seconds of calls the counters of a batch pipeline's last run hold, 0 for those that go on. What stays
    quiet is looked at when it is judged, and never `recovers`.
    """

    step: float
    bad: int
    early: int | None
    judged: int
    good: int
    lasting: int | None
    resolved: int
    after: int | None = None
    run: float = 0.0
    recovers: bool = True

    @property
    def end(self) -> int:
        """The last step that is looked at."""
        return (self.after or self.resolved) if self.recovers else self.judged

    @property
    def lengths(self) -> tuple[int, int, int]:
        """For how many steps it is as usual, bad, and as usual again."""
        if not self.recovers:
            return self.bad, self.judged + 1 - self.bad, 0
        return self.bad, self.good - self.bad, self.end + 3 - self.good

    def at(self, steps: int) -> str:
        """Print a time."""
        return duration(steps * self.step)


def clock_of_a_move(spec: Spec, mode: FailureMode, steps: int) -> Clock:
    """Return the times of what moves away for a time, seen through a window of so many steps, and back."""
    step = mode.window / steps
    wait, tail = (ceil(round(seconds / step, 6)) for seconds in (mode.for_, mode.keep_firing_for))
    bad = steps + 3
    judged = bad + steps + wait + 2
    run = 0.0 if spec.schedule is None else mode.window
    return Clock(step, bad, None, judged, judged + 1, None, judged + 1 + steps + tail + 3, run=run)


def clock(spec: Spec, mode: FailureMode, away: float = 0.0) -> Clock:
    """Return the times at which a failure mode must fire, and must have resolved, if not a step sooner.

    `away` is how long nothing must have been heard for that, in seconds.
    """
    step = tested_every(spec, mode)

    def steps(seconds: float) -> int:
        return ceil(round(seconds / step, 6))

    window, wait, tail = steps(mode.window), steps(mode.for_), steps(mode.keep_firing_for)
    hold = holds_the_past(mode)
    hour = steps(max(mode.window, spec.timing.long_window)) if hold else 0
    # What is recorded of yesterday is made up: the scene must end before ours record it, too.
    ago = min((past.offset for each in mode.conditions if (past := each.reference) and past.offset), default=0.0)
    length = 3 * mode.window + 2 * mode.for_ + mode.keep_firing_for
    brief = ago > 0 and spec.schedule is None and length > 0.9 * ago
    bad = ceil(window / 4) if brief else window + hour + 3
    # Held, it must last: longer than the hour that it is compared with.
    # And an old version is not called any more after an hour.
    lately = steps(max(mode.window, spec.timing.long_window)) + tail if ages(mode) else 0
    judged = bad + max(window + hour, steps(away), lately) + wait + 2
    good = judged + 2
    # The threshold is passed in the window's last hundredth; how its edge counts differs by version.
    full = min(window, int(0.99 * window) + 1)
    if hold:
        full = int(min(1 / (1 + margin(condition)) for condition in mode.conditions) * window)
    if ages(mode):
        # A time's value is there at once.
        full = 0
    if spec.schedule is not None:
        # And so is what a run pushed.
        full = 0
    early = bad + max(full, steps(away)) + wait - 3
    return Clock(
        step,
        bad,
        early if wait >= 3 else None,
        judged,
        good,
        good + tail - 1 if tail > 2 else None,
        good + window + tail + 3,
        good + window + hour + window + tail + 3 if hold else None,
        mode.window if spec.schedule is not None else 0.0,
        recovers=not brief,
    )


def ages(mode: FailureMode) -> bool:
    """Tell whether it is about how long ago a time was, of versions that are called."""
    return any(isinstance(SIGNALS[condition.signal].reads, r.Age) for condition in mode.conditions)


def holds_the_past(mode: FailureMode) -> bool:
    """Tell whether it is compared with the time before, which is held for as long as it fires."""
    return any(condition.reference is not None and condition.reference.hold for condition in mode.conditions)
