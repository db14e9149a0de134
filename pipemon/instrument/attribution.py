"""To which version of a stage something belongs that is told later: the one that served in the run."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Mapping
from threading import RLock
from time import time
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakValueDictionary

from pipemon import catalogue
from pipemon.catalogue import OTHER, UNATTRIBUTED
from pipemon.errors import DeclarationError, nearest
from pipemon.instrument.calls import StageKey
from pipemon.instrument.feature_series import Families
from pipemon.instrument.feedback_series import FeedbackSeries
from pipemon.instrument.log import Quietly, log_once
from pipemon.topology import StageShape

if TYPE_CHECKING:
    from pipemon.instrument.run_token import Served

_MOST_VERSIONS = 20
"""Of a stage, in all: tokens may tell any number."""
_RUNS_REMEMBERED = 4096
"""Of which labels have arrived."""
_LONGEST_ID = 64

_WHY = {
    "plain": "an id alone; pass run.token for the version that served",
    "garbled": "no token of pipemon's, or not all of it",
    "forged": "a token without the signature of this pipeline's token_key",
    "unknown": "a token that tells no version of this stage, or one of too many",
}


class Attributed(NamedTuple):
    """The series of the version that served. `id` and `started` (Unix seconds) are the run's, where it tells them."""

    series: FeedbackSeries
    id: str | None = None
    started: float | None = None


class Attribution:
    """The versions of one pipeline's stages, and what is told later of each."""

    def __init__(self, pipeline: str, families: Families, slices: tuple[str, ...], key: bytes | None) -> None:
        self.quietly = Quietly()
        self._pipeline = pipeline
        self._families = families
        self._slices = (*slices, OTHER) if slices else ()
        self._key = key
        self._first: dict[str, tuple[StageKey, StageShape]] = {}
        self._versions: dict[str, dict[Served, FeedbackSeries]] = {}
        self._labelled: dict[tuple[str, str], dict[str, int]] = {}
        self._unattributed = {
            reason: families[catalogue.FEEDBACK_UNATTRIBUTED.name].labels(pipeline, reason) for reason in UNATTRIBUTED
        }
        _pipelines[next(_number)] = self

    def add(self, key: StageKey, shape: StageShape) -> None:
        """Show that nothing was told of a version of a stage yet; the first version is the one in use.

        What a further version does not declare of what is told later, it has of the first.
        """
        _, first = self._first.setdefault(key.stage, (key, shape))
        shape = shape._replace(
            feedback=shape.feedback or first.feedback,
            scores=shape.scores or first.scores,
            candidates=shape.candidates or first.candidates,
            labels=shape.labels or first.labels,
            decisions=shape.decisions or first.decisions,
        )
        versions = self._versions.setdefault(key.stage, {})
        known = versions.get((key.version, key.track))
        if known is None or not known.covers(shape):  # a stage is declared by its name, then with its function
            versions[key.version, key.track] = self._made(key, shape)

    def find(self, what: str, stage: object, run: object) -> Attributed | None:
        """Return where something told of a run counts, of its token or id; None if there is no such stage."""
        versions = self._versions.get(str(stage))
        if versions is None:
            close = close_to(stage, self._versions)
            self.quietly.warn((what, close), "%s: there is no stage %s", what, close)
            return None
        key, _ = self._first[str(stage)]
        in_use = versions[key.version, key.track]
        if run is None or run == "":  # the token of a process where pipemon is disabled
            return Attributed(in_use)
        from pipemon.instrument.run_token import RunToken, read_token  # noqa: PLC0415  many are never told of a run

        text = str(run)
        token = read_token(text, self._key)
        if not isinstance(token, RunToken):
            self._put_down(token)
            return Attributed(in_use, text[:_LONGEST_ID] if token == "plain" else None)
        served = token.served(self._pipeline, key.stage)
        series = None if served is None else versions.get(served) or self._past(key, served)
        if series is None:
            self._put_down("unknown")
        return Attributed(series or in_use, token.id, token.started)

    def of_version(self, what: str, stage: object, version: object) -> FeedbackSeries | None:
        """Return where something told of a version counts that this process declares; None if it does not."""
        found = self.find(what, stage, None)
        if found is None:
            return None
        by_version = {served: series for (served, _), series in self._versions[str(stage)].items()}
        series = by_version.get(str(version))
        if series is None:
            close = close_to(version, by_version)
            self.quietly.warn((what, str(stage), close), "%s: stage %s has no version %s", what, stage, close)
        return series

    def arrived(self, stage: str, found: Attributed, kind: str) -> None:
        """Count a label, and how long after the run it came, unless another kind of thing told has counted it before.

        As many labels have arrived for a run and stage as were told of its most frequent kind: two scores of one
        output are one label, and the scores of a batch's items as many as there are items.
        """
        truth = found.series.truth
        if truth is None or found.id is None:
            return
        with _counting:
            counts = self._labelled.setdefault((found.id, stage), {})
            most = max(counts.values(), default=0)
            number = counts[kind] = counts.get(kind, 0) + 1
            if len(self._labelled) > _RUNS_REMEMBERED:
                del self._labelled[next(iter(self._labelled))]
        if number > most:
            truth.arrived.inc()
            if found.started is not None:
                truth.delay.observe(max(0.0, time() - found.started))

    def _put_down(self, reason: str) -> None:
        self._unattributed[reason].inc()
        self.quietly.warn(
            ("run", reason), "what is told of a run counts for the version in use: it came with %s", _WHY[reason]
        )

    def _past(self, key: StageKey, served: Served) -> FeedbackSeries | None:
        """Return the series of a version that served before this process, unless there are too many."""
        versions, (_, shape) = self._versions[key.stage], self._first[key.stage]
        if len(versions) >= _MOST_VERSIONS:
            return None
        version, track = served
        return versions.setdefault(served, self._made(key._replace(version=version, track=track), shape))

    def _made(self, key: StageKey, shape: StageShape) -> FeedbackSeries:
        return FeedbackSeries(self._families, key, shape, self._slices)

    @property
    def in_use(self) -> dict[str, Served]:
        """The version and track of each stage, as it was declared first."""
        return {stage: (key.version, key.track) for stage, (key, _) in list(self._first.items())}

    def unsaid(self, key: StageKey) -> bool:
        """Tell whether a run's token tells this version of a stage without the run's saying that it served.

        Of several pipelines of one name, as after a module was loaded again, the one made first gives the versions.
        """
        declared = filter(None, (known._first.get(key.stage) for known in _of(self._pipeline)))
        first, _ = next(declared, (None, None))
        return first is not None and (first.version, first.track) == (key.version, key.track)


def _begin_anew() -> None:
    global _counting  # noqa: PLW0603
    _counting = RLock()


_counting = RLock()  # a signal's handler may tell something, too
os.register_at_fork(after_in_child=_begin_anew)

_pipelines: WeakValueDictionary[int, Attribution] = WeakValueDictionary()
_number = itertools.count()


def _of(pipeline: str) -> list[Attribution]:
    # The references are copied at once: other threads may make pipelines meanwhile.
    living = (reference() for reference in _pipelines.valuerefs())
    return [known for known in living if known is not None and known._pipeline == pipeline]


def token_of(pipeline: str, id: str, started: float, served: Mapping[str, StageKey]) -> str:
    """Return a run's token; its id alone where this process knows no stage of its pipeline. Never raises.

    `started` is in Unix seconds; `served` are the stages of which another version than the first returned.
    """
    try:
        from pipemon.instrument.run_token import write_token  # noqa: PLC0415

        stages: dict[str, Served] = {}
        key = None
        for known in _of(pipeline):
            stages = known.in_use | stages
            key = known._key
        if not stages:
            return id
        stages |= {stage: (version.version, version.track) for stage, version in served.items()}
        return write_token(id, started, pipeline, stages, key)
    except Exception:  # noqa: BLE001
        log_once("token", "a run's token could not be made", exc=True)
        return id


def check_token_key(what: str, key: str | bytes | None) -> bytes | None:
    """Return the secret that signs tokens: the given one, else that in PIPEMON_TOKEN_KEY, else None."""
    found = os.environ.get("PIPEMON_TOKEN_KEY") if key is None else key
    if not isinstance(found, str | bytes | None) or (key is not None and not key):
        raise DeclarationError(f"{what}: token_key is a secret of letters or bytes")  # not shown: it may be one
    return (found.encode() if isinstance(found, str) else found) or None


def close_to(word: object, names: Iterable[str]) -> str:
    """Return what is safe to log of an unknown word: itself if it is nearly a name, else only the names."""
    names = list(names)
    near = nearest(str(word), names)
    return f"{str(word)!r}{near}" if near else f"of that name; the names are {', '.join(names)}"
