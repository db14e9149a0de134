"""Drills: a stage of a running service fails on purpose, so that an alert is seen to arrive before it is needed.

A service opts in by `allow_drills`. Nothing of it is on a call's way until a drill begins, and nothing after it.
"""

from __future__ import annotations

import os
import secrets
import weakref
from collections.abc import Callable, Mapping, Sequence
from hmac import compare_digest
from threading import Lock
from typing import Any

from prometheus_client import CollectorRegistry

from pipemon import catalogue
from pipemon.errors import nearest
from pipemon.instrument.drill_effects import Effect, Injection, parse, swaps
from pipemon.instrument.drill_running import Place, Running
from pipemon.instrument.exposition import server
from pipemon.instrument.exposition.access import Secret
from pipemon.instrument.log import log_once, logger
from pipemon.instrument.metrics import begin_anew, make_family
from pipemon.instrument.pipeline import Pipeline
from pipemon.instrument.wrapping import stand_ins
from pipemon.units import duration


class RefusalError(Exception):
    """A request that is not granted; `status` is HTTP's."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Drills:
    """What a pipeline allows: made by `allow_drills`. One drill at a time."""

    def __init__(
        self,
        pipeline: Pipeline,
        secret: Secret,
        longest: float,
        most: float,
        null: Mapping[str, Callable[[], object]],
    ) -> None:
        self.pipeline = pipeline
        self.longest, self.most = longest, most
        self.exposition: server.Exposition | None = None
        self._secret = secret
        self._null = null
        self._lock = Lock()
        self._now: Running | None = None
        exporter = pipeline._exporter
        assert exporter is not None
        self._exporter = exporter
        registry = exporter._registry()
        assert registry is not None
        self._families = _families(registry)
        for stage in pipeline.describe().stages:
            self._families[catalogue.DRILL_ACTIVE.name].labels(pipeline.name, stage.name).set(0)

    def permits(self, token: str) -> bool:
        """Tell whether this is the token."""
        try:
            return compare_digest(token.encode(errors="replace"), self._secret.read())
        except (OSError, ValueError) as error:
            log_once(("drill token", str(error)), "nobody may drill: the token can't be read: %s", error)
            return False

    def begin(
        self, stage: str, effects: Sequence[str], seconds: float, share: float, track: str, who: str
    ) -> dict[str, Any]:
        """Begin a drill and return its state. Raises RefusalError."""
        if not 0 < share <= self.most:
            raise RefusalError(403, f"this service allows a share of at most {self.most:g} of the calls, not {share:g}")
        if not 0 < seconds <= self.longest:
            raise RefusalError(403, f"this service allows drills of at most {duration(self.longest)}")
        try:
            parsed = tuple(map(parse, effects))
        except ValueError as error:
            raise RefusalError(400, str(error)) from None
        if not parsed:
            raise RefusalError(400, "a drill has at least one effect")
        self._check(stage, parsed)
        found = [each for each in list(stand_ins) if self._is_of(each, stage, track)]
        if not found:
            raise RefusalError(404, f"no decorated function of the stage {stage!r} serves as {track}, in this process")

        def feedback(signal: str) -> None:
            self.pipeline.feedback(signal, stage)

        with self._lock:
            if self._now is not None and not self._now.over.is_set():
                raise RefusalError(409, f"drill {self._now.injection.name} is under way; there is one at a time")
            injection = Injection(secrets.token_hex(4), parsed, share, self._null.get(stage, _nothing), feedback)
            place = Place(self.pipeline.name, stage, track)
            self._now = Running(
                injection, place, seconds, [swap for each in found for swap in swaps(injection, each)], self._families
            )
            message = "drill %s, asked for by %s: %s on at most %.0f%% of the calls of %s/%s, for at most %s"
            kinds = ", ".join(effect.kind for effect in parsed)
            told = self._now.injection.name, who, kinds, share * 100, self.pipeline.name, stage, duration(seconds)
            logger().warning(message, *told)
            return self._now.state()

    def renew(self, name: str) -> dict[str, Any]:
        """Hear of the client of a drill; return its state. Raises RefusalError."""
        running = self._named(name)
        if not running.over.is_set():
            running.heard()
        return running.state()

    def end(self, name: str, why: str = "its client ended it") -> dict[str, Any]:
        """End a drill; return its state. Raises RefusalError."""
        running = self._named(name)
        running.end(why)
        return running.state()

    def state(self) -> dict[str, Any]:
        """Return what is allowed, and the latest drill."""
        drill = None if self._now is None else self._now.state()
        return {"pipeline": self.pipeline.name, "longest": self.longest, "most": self.most, "drill": drill}

    def close(self) -> None:
        """End what is under way, and allow no more."""
        if allowed.get(self.pipeline.name) is self:
            del allowed[self.pipeline.name]
        if self._now is not None:
            self._now.end("drills are no longer allowed")
        if self.exposition is not None:
            self.exposition.close()

    def forget(self) -> None:
        """End what is under way, in a forked child: the drill is the parent's."""
        self._lock = Lock()
        begin_anew(None, self._families.values())
        if self._now is not None:
            self._now.forget()

    def _named(self, name: str) -> Running:
        if self._now is None or self._now.injection.name != name:
            raise RefusalError(404, f"there is no drill {name!r}")
        return self._now

    def _check(self, stage: str, effects: Sequence[Effect]) -> None:
        shapes = {shape.name: shape for shape in self.pipeline.describe().stages}
        if stage not in shapes:
            raise RefusalError(404, f"there is no stage {stage!r}{nearest(stage, shapes)}")
        features = [f"{f.direction}.{f.name}" for f in shapes[stage].features if not f.categories]
        for effect in effects:
            if effect.feature and effect.feature not in features:
                told = f"stage {stage!r} has no feature {effect.feature!r}{nearest(effect.feature, features)}"
                raise RefusalError(404, told)

    def _is_of(self, stand_in: Any, stage: str, track: str) -> bool:
        names = stand_in.__globals__
        key = names.get("pm_key")
        if key is None or (key.pipeline, key.stage, key.track) != (self.pipeline.name, stage, track):
            return False
        return any(names["pm_recorder"] is recorder for recorder in list(self._exporter._recorders.values()))


allowed: dict[str, Drills] = {}
"""What is allowed in this process, by the pipeline's name."""
_known: weakref.WeakKeyDictionary[CollectorRegistry, dict[str, Any]] = weakref.WeakKeyDictionary()


def _after_fork_in_child() -> None:
    for drills in allowed.values():
        drills.forget()


os.register_at_fork(after_in_child=_after_fork_in_child)


def _nothing() -> None:
    return None


def _families(registry: CollectorRegistry) -> dict[str, Any]:
    if registry not in _known:
        _known[registry] = {metric.name: make_family(metric) for metric in catalogue.DRILL_METRICS.values()}
        for family in _known[registry].values():
            registry.register(family)
    return _known[registry]
