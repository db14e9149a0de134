"""What a drill does to the calls of a stage, and how it gets in: by names that the stand-ins look up at each call.

A stand-in is a function whose globals are its own. While a drill is on, `pm_function` in them is another function,
or `pm_extend` puts other numbers into the buffer; before and after, a call does nothing for drills at all.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any, NamedTuple

import numpy as np

from pipemon.errors import nearest
from pipemon.instrument.log import log_once
from pipemon.instrument.wrapping import kind_of
from pipemon.units import seconds

KINDS = ("exception", "feedback", "latency", "missing", "null", "shift")
_SLICE = 0.05
"""Seconds after which a call that is held up looks whether the drill is over."""


class DrillError(RuntimeError):
    """What a stage raises in a drill: nothing is broken but by request."""


class Effect(NamedTuple):
    """One effect: `kind`, and what it takes; see `parse`."""

    kind: str
    feature: str = ""
    amount: float = 0.0
    signal: str = ""


def parse(text: str) -> Effect:
    """Return an effect as it is written.

    `exception`; `null`; `latency=2s`; `shift=output.confidence:-0.3`, which adds to the number that is recorded and
    leaves the data alone; `missing=input.audio_level_dbfs`; `feedback=redo`. Raises ValueError with one sentence.
    """
    kind, _, argument = text.partition("=")
    feature, _, amount = argument.partition(":")
    match kind:
        case "exception" | "null" if not argument:
            return Effect(kind)
        case "latency" if argument:
            return Effect(kind, amount=seconds(argument))
        case "missing" if "." in argument:
            return Effect(kind, argument)
        case "feedback" if argument:
            return Effect(kind, signal=argument)
        case "shift" if "." in feature:
            try:
                by = float(amount)
            except ValueError:
                by = math.nan
            if math.isfinite(by) and by:
                return Effect(kind, feature, by)
    expected = "exception, null, latency=2s, shift=output.name:-0.3, missing=input.name or feedback=redo"
    raise ValueError(f"{text!r} is no effect; write {expected}{nearest(kind, KINDS) if kind not in KINDS else ''}")


class Share:
    """Picks calls evenly, and never more than the share of those that came. Threads may call it at once."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._numbers = count(1)

    def picks(self) -> bool:
        """Tell whether this call is picked."""
        number = next(self._numbers)
        return math.floor(number * self._share) > math.floor((number - 1) * self._share)


class Injection:
    """What the stand-ins of one drill share: which calls it takes, and for how long."""

    def __init__(
        self, name: str, effects: tuple[Effect, ...], share: float, null: Callable[[], Any], told: Callable[[str], None]
    ) -> None:
        self.name = name
        self.until = -math.inf
        self.effects = effects
        self.changed: list[str] = []
        """The kind of each effect since it was looked at last: appended by calls, taken out by the drill's thread."""
        self._calls = Share(share)
        self._rows = Share(share)
        self._null = null
        self._feedback = told
        self._wait = sum(effect.amount for effect in effects if effect.kind == "latency")
        self._kinds = {effect.kind for effect in effects}
        self._signals = [effect.signal for effect in effects if effect.kind == "feedback"]

    @property
    def on_calls(self) -> bool:
        """Tell whether calls are changed, and not only what is recorded of them."""
        return bool(self._kinds - {"shift", "missing"})

    def takes(self, share: Share) -> bool:
        """Tell whether this call is one of the drill's. Of itself it ends in time, whatever becomes of its thread."""
        return time.monotonic() < self.until and share.picks()

    def _pauses(self) -> Iterator[float]:
        until = time.monotonic() + self._wait
        while (left := min(until, self.until) - time.monotonic()) > 0:
            yield min(left, _SLICE)

    def _instead(self) -> tuple[Any] | None:
        """Raise, or return what is given instead of a result; None if the function is to be called."""
        for signal in self._signals:
            self._feedback(signal)
        self.changed.extend(sorted(self._kinds - {"shift", "missing"}))
        if "exception" in self._kinds:
            raise DrillError(f"drill {self.name}: this failure was asked for")
        if "null" not in self._kinds:
            return None
        try:
            return (self._null(),)
        except Exception:  # noqa: BLE001  the service's own function; the call goes on as ever
            log_once(("drill null", self.name), "drill %s: what makes the null output raised", self.name, exc=True)
            return None

    def function(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return what stands for a stage's function, of the same kind, during the drill."""

        def plain(*args: Any, **kwargs: Any) -> Any:
            if self.takes(self._calls):
                for pause in self._pauses():
                    time.sleep(pause)
                if (instead := self._instead()) is not None:
                    return instead[0]
            return function(*args, **kwargs)

        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            if self.takes(self._calls):
                await self._wait_meanwhile()
                if (instead := self._instead()) is not None:
                    return instead[0]
            return await function(*args, **kwargs)

        def generator(*args: Any, **kwargs: Any) -> Any:
            if self.takes(self._calls):
                for pause in self._pauses():
                    time.sleep(pause)
                if self._instead() is not None:  # a stream without items has nothing usable
                    return None
            return (yield from function(*args, **kwargs))

        def async_generator(*args: Any, **kwargs: Any) -> Any:
            source = function(*args, **kwargs)
            return self._late(source) if self.takes(self._calls) else source

        kinds = {
            "function": plain,
            "async function": coroutine,
            "generator": generator,
            "async generator": async_generator,
        }
        return kinds[kind_of(function)]

    async def _wait_meanwhile(self) -> None:
        import asyncio  # noqa: PLC0415  whoever awaits has it

        for pause in self._pauses():
            await asyncio.sleep(pause)

    async def _late(self, source: Any) -> Any:
        """Yield what an async generator does, its beginning changed; what is sent and thrown passes on."""
        await self._wait_meanwhile()
        if self._instead() is not None:
            return
        try:
            item = await source.asend(None)
            while True:
                try:
                    sent = yield item
                except GeneratorExit:
                    await source.aclose()
                    raise
                except BaseException as error:  # noqa: BLE001  passed on
                    item = await source.athrow(error)
                else:
                    item = await source.asend(sent)
        except StopAsyncIteration:
            return

    def extend(self, extend: Callable[[tuple[float, ...]], None], column: dict[str, int]) -> Callable[..., None]:
        """Return what stands for a buffer's `extend`; `column` has the features' places in a row."""
        changes = [(column[each.feature], each) for each in self.effects if each.feature in column]

        def extended(row: tuple[float, ...]) -> None:
            if self.takes(self._rows):
                values = list(row)
                for place, effect in changes:
                    values[place] = float(self._changed(effect, np.array([values[place]]))[0])
                row = tuple(values)
            extend(row)

        return extended

    def add_array(self, add_array: Callable[..., None], column: dict[str, int]) -> Callable[..., None]:
        """Return what stands for a recorder's `add_array`, by which batches record their features."""
        changes = {column[each.feature]: each for each in self.effects if each.feature in column}

        def added(place: int, values: Any, **more: Any) -> None:
            if place in changes and self.takes(self._rows):
                values = self._changed(changes[place], np.asarray(values, dtype=float))
            add_array(place, values, **more)

        return added

    def _changed(self, effect: Effect, values: Any) -> Any:
        self.changed.append(effect.kind)
        if effect.kind == "missing":
            return np.full(len(values), math.nan)
        return np.where(np.isnan(values), values, values + effect.amount)


class Swap(NamedTuple):
    """One name of a stand-in, or attribute of a recorder, that a drill has put something else in."""

    place: dict[str, Any]
    name: str
    before: Any
    during: Any

    def begin(self) -> None:
        """Put the drill's in."""
        self.place[self.name] = self.during

    def end(self) -> None:
        """Put back what was there."""
        if self.before is None:
            self.place.pop(self.name, None)
        else:
            self.place[self.name] = self.before


def swaps(injection: Injection, stand_in: Any) -> list[Swap]:
    """Return what a drill changes in a stand-in and its recorders."""
    names, found = stand_in.__globals__, []

    def put(place: dict[str, Any], name: str, before: Any, during: Any) -> None:
        found.append(Swap(place, name, before, during))

    if injection.on_calls:
        put(names, "pm_function", names["pm_function"], injection.function(names["pm_function"]))
    recorder = names["pm_recorder"]
    place_of = recorder.series.places
    features = [feature.column for feature in recorder.series.features]
    wanted = {effect.feature for effect in injection.effects}
    rows = {name: place_of[name] for name in features if name in place_of}
    if "pm_extend_items" in names:  # a stream: its items' features have rows of their own, beginning with a time
        items = {name: place for place, name in enumerate((n for n in features if n not in rows), start=1)}
        if wanted & items.keys():
            put(names, "pm_extend_items", names["pm_extend_items"], injection.extend(names["pm_extend_items"], items))
    if wanted & rows.keys():
        put(names, "pm_extend", names["pm_extend"], injection.extend(names["pm_extend"], rows))
        if "pm_extend_items" in names:
            add = injection.extend(partial(_add, recorder), rows)
            put(vars(recorder), "add", None, lambda *row: add(row))
    if "in" in place_of and wanted & set(features):  # a batch: whole arrays, by the features' numbers
        places = {name: place for place, name in enumerate(features)}
        put(vars(recorder), "add_array", None, injection.add_array(recorder.add_array, places))
    return found


def _add(recorder: Any, row: tuple[float, ...]) -> None:
    type(recorder).add(recorder, *row)
