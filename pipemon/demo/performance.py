"""The demo's phases: each ends on what is observed, or at its cap."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from pipemon import catalogue as c
from pipemon.demo.example import Example
from pipemon.demo.numbers import stage_numbers
from pipemon.demo.processes import Child
from pipemon.demo.screen import Screen
from pipemon.demo.script import KEY_FEATURES, PIPELINE, Step
from pipemon.demo.verdict import GOOD_SECONDS, Injected, Notified, Observed, settled
from pipemon.errors import UnavailableError
from pipemon.prometheus import Alertmanager, Prometheus
from pipemon.receiver.lines import sentence
from pipemon.receiver.payload import Notification
from pipemon.receiver.queue import State, Task

WINDOW = 300.0
"""The window of sudden failure modes, in seconds before the time scale."""

_POLL = 0.5
_NUMBERS_EVERY = 2.0
_ENOUGH_CALLS = 20


@dataclass
class Performance:
    """One play of the script. Caps are in windows; the whole takes twenty of them at most.

    `start_traffic` starts the pipeline's process and registers it with the children; `configure` generates
    what the servers read. Whatever is asked of them raises UnavailableError where one of them is gone.
    """

    example: Example
    time_scale: float
    inhibition: bool
    screen: Screen
    prometheus: Prometheus
    alertmanager: Alertmanager
    start_traffic: Callable[[], Child]
    configure: Callable[[], Awaitable[None]]
    servers: Sequence[Child] = ()
    traffic: Child | None = None
    began: float = field(default_factory=time.monotonic)
    notified: list[Notified] = field(default_factory=list)
    rolled_back_at: float | None = None
    _active: dict[str, str] = field(default_factory=dict)
    _held_back: set[str] = field(default_factory=set)
    _numbers_at: float = 0.0

    @property
    def window(self) -> float:
        """The window of sudden failure modes, in seconds."""
        return WINDOW / self.time_scale

    def now(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.began

    def deliver(self, notification: Notification) -> None:
        """Take a notification; an alert that is only repeated says nothing new."""
        known = {note.name: note.status for note in self.notified}
        for alert in notification.alerts:
            name = alert.failure_mode or alert.name
            if known.get(name) != alert.status:
                # Alertmanager tells of an end even where it held the beginning back.
                unknown = " (its beginning was held back)" if alert.status == "resolved" and name not in known else ""
                self.notified.append(Notified(self.now(), alert.status, name))
                self.screen.notification(alert.status, sentence(alert) + unknown)

    def acted(self, text: str) -> None:
        """Take what the receiver says of an action: `2026-01-31 08:15:33 ROLLBACK speech/asr for slow-asr: done`."""
        _, _, told = text.split(" ", 2)
        self.screen.say(told)

    def ended(self, task: Task, state: State) -> None:
        """Take how an action of the receiver ended."""
        if task.kind == "rollback" and state == "done":
            self.rolled_back_at = self.now()

    async def play(self, steps: Sequence[Step]) -> Observed:
        """Play the good period, then each fault with its recovery; the last one is left in place."""
        good_began, good_ended = await self._good_period()
        injected = []
        for step in steps:
            injected.append(await self._fault(step, last=step is steps[-1]))
        return Observed(good_began, good_ended, tuple(injected), tuple(self.notified), self.inhibition)

    def revive(self) -> None:
        """Take every fault away: the pipeline runs, and well."""
        self.example.inject(None)
        if self.traffic is None:
            self.traffic = self.start_traffic()

    async def watch(self) -> None:
        """Show the numbers until cancelled, or until a program ends."""
        while True:
            self._look()
            await asyncio.sleep(_POLL)

    async def _good_period(self) -> tuple[float, float]:
        self._must(await self._until(self._serving, cap=6), "the pipeline did not serve a call that Prometheus saw")
        self.screen.phase("Good period: recordings as they are")
        began = self.now()
        self._must(
            await self._until(lambda: self.now() - began >= GOOD_SECONDS and self._quiet() and self._full(), cap=6),
            f"the good period did not become quiet: {self._alerts() or 'too few calls'}",
        )
        self.screen.say("Learning the baseline from it, and generating the rules again")
        await self.example.learn_baseline(self.prometheus.url, GOOD_SECONDS)
        await self.configure()
        self.prometheus.reload()
        self.alertmanager.reload()
        learned = self.now()
        await self._until(lambda: self.now() - learned >= self.window and self._quiet(), cap=3)
        return began, self.now()

    async def _fault(self, step: Step, last: bool) -> Injected:
        fault = step.fault
        self.screen.phase(f"Fault: {step.title}")
        self._held_back.clear()
        self.rolled_back_at = None
        began = self.now()
        self._break(step)

        def seen(name: str) -> bool:
            return any(note.name == name and note.status == "firing" and note.at >= began for note in self.notified)

        if not await self._until(lambda: seen(fault.failure_mode), cap=5):
            self.screen.say(f"{fault.failure_mode} was not notified in time")
        if fault.needs_effects:
            held = self._held_back.__contains__
            await self._until(lambda: all(map(held if self.inhibition else seen, fault.effects)), cap=3)
        if self._held_back:
            self.screen.say(f"Held back by inhibition: {', '.join(sorted(self._held_back))}")
        ended = None
        rolled_back = fault.rolled_back and await self._until(lambda: self.rolled_back_at is not None, cap=2)
        if not last:
            self.screen.phase("Recovery")
            if rolled_back:
                ended = self.rolled_back_at
            else:
                ended = self.now()
                self.revive()
            injected = Injected(step, began, ended, frozenset())
            recovered = await self._until(lambda: self._recovered(injected), cap=6)
            if not recovered:
                self.screen.say(f"It did not recover in time: {self._alerts() or 'a notification is missing'}")
        return Injected(step, began, ended, frozenset(self._held_back), rolled_back)

    def _break(self, step: Step) -> None:
        if step.fault.control:
            self.example.inject(step.fault.control, step.strength)
        elif self.traffic is not None:
            self.traffic.kill()
            self.traffic = None

    def _serving(self) -> bool:
        up = self.prometheus.query(f"{c.UP.name} == 1")
        return bool(up) and self._calls_over(self.window) > 0

    def _full(self) -> bool:
        return self._calls_over(self.window) >= _ENOUGH_CALLS

    def _calls_over(self, window: float) -> float:
        calls = f'{c.PIPELINE_RUNS.name}{{pipeline="{PIPELINE}"}}'
        found = self.prometheus.query(f"sum(increase({calls}[{window:.0f}s]))")
        return found[0].value if found else 0.0

    def _quiet(self) -> bool:
        return not self._active

    def _recovered(self, injected: Injected) -> bool:
        assert injected.ended is not None
        # Only when the window has left the fault behind does the next one begin from a good state.
        clean = self.now() - injected.ended >= self.window + 2 * _POLL
        return clean and self._quiet() and self._full() and settled(injected, self.notified)

    async def _until(self, condition: Callable[[], bool], cap: float) -> bool:
        """Look until `condition` holds; False after `cap` windows, or when the whole has taken twenty."""
        deadline = min(self.now() + cap * self.window, 20 * self.window)
        while True:
            self._look()
            if condition():
                return True
            if self.now() >= deadline:
                return False
            await asyncio.sleep(_POLL)

    def _look(self) -> None:
        for child in (*self.servers, *filter(None, [self.traffic])):
            child.check()
        here = f'{{pipeline="{PIPELINE}"}}'
        self._active = {
            sample.labels.get("failure_mode", ""): sample.labels["alertstate"]
            for sample in self.prometheus.query(f"{c.ALERTS.name}{here}")
        }
        held = {alert.labels.get("failure_mode", "") for alert in self.alertmanager.alerts() if alert.inhibited_by}
        self._held_back |= held
        if self.now() - self._numbers_at >= _NUMBERS_EVERY:
            self._numbers_at = self.now()
            if broken := [rule for rule in self.prometheus.rules() if rule.health == "err"]:
                raise UnavailableError(f"Prometheus can't evaluate {broken[0].name}: {broken[0].last_error}")
            stages = stage_numbers(self.prometheus, PIPELINE, self.window, KEY_FEATURES)
            self.screen.numbers(stages, self._alerts(held))

    def _alerts(self, held_back: set[str] | None = None) -> list[str]:
        return [
            f"{name} {'held back' if held_back and name in held_back else state}"
            for name, state in sorted(self._active.items())
        ]

    @staticmethod
    def _must(happened: bool, otherwise: str) -> None:
        if not happened:
            raise UnavailableError(otherwise)
