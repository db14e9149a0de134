"""A baseline of what decorated stages really see: the training data goes through them once."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial

from pipemon.baseline.files import save
from pipemon.baseline.seen import MOST, Watch
from pipemon.baseline.summary import baseline_of
from pipemon.errors import OptionError, nearest
from pipemon.instrument.pipeline import Pipeline
from pipemon.instrument.recorder import Rows
from pipemon.instrument.taking import looked_at
from pipemon.spec.baseline import Baseline, feature_key


class Learning:
    """What the decorated stages of a pipeline saw while it was learned."""

    def __init__(self, pipeline: Pipeline, source: str, most: int, without: Collection[str] = ()) -> None:
        self._pipeline = pipeline
        self._source = source
        stages = pipeline.describe().stages
        known = {
            feature_key(s.name, f.direction, f.name): (s.name, f"{f.direction}.{f.name}")
            for s in stages
            for f in s.features
        }
        for name in without:
            if name not in known:
                raise OptionError(f"{pipeline.name} has no feature {name!r} to leave out{nearest(name, known)}")
        self._watches: dict[str, dict[str, Watch]] = {stage.name: {} for stage in stages}
        for name, (stage, feature) in known.items():
            if name not in without:
                self._watches[stage][feature] = Watch(most)

    def begin(self) -> None:
        """Look at what is counted from now on. Raises OptionError where nothing would be."""
        if not self._pipeline.watch(
            {
                stage: {name: partial(_tell, watch) for name, watch in watches.items()}
                for stage, watches in self._watches.items()
            }
        ):
            raise OptionError("nothing can be learned while PIPEMON_DISABLED is set")

    def end(self) -> None:
        """Look no more."""
        self._pipeline.watch({})

    @property
    def baseline(self) -> Baseline:
        """What was learned, of the features that had values. Raises OptionError if none had any."""
        seen = {
            feature_key(stage, *name.split(".", 1)): watch.seen()
            for stage, watches in self._watches.items()
            for name, watch in watches.items()
        }
        found = baseline_of(
            self._pipeline.describe(),
            seen,
            source=self._source,
            rows=max((len(each.values) + each.missing for each in seen.values()), default=0),
        )
        if not found.features:
            raise OptionError(f"no stage of {self._pipeline.name} saw a value; call the decorated functions within")
        return found

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the baseline to a file, whole or not at all. Raises OptionError as `baseline` does, and OSError."""
        save(self.baseline, path)


@contextmanager
def learning(
    pipeline: Pipeline,
    *,
    source: str = "decorated calls",
    max_values: int = MOST,
    without: Collection[str] = (),
) -> Iterator[Learning]:
    """Learn a baseline from the calls of decorated stages: training data goes through them, as live data does.

        with pipemon.learning(speech) as learned:
            for recording in training_set:
                answer(recording)
        learned.save("speech.baseline.json")

    Every value is kept, up to `max_values` a feature; of more, as many are drawn. Bins of about equal shares are made
    of them, except where the code gives a feature's bounds. Let the data come in the order of real traffic, from one
    thread: how alike neighbours are decides how much fewer independent values they are worth. Stages that are
    decorated within are not seen; of a stage that runs in several versions, the one declared first is.

    `without` names features to leave out, `<stage>.<direction>.<feature>`: such as are the machine's, as its speed is.

    Raises OptionError while PIPEMON_DISABLED is set, and for a feature that there is not.
    """
    learned = Learning(pipeline, source, max_values, without)
    learned.begin()
    try:
        yield learned
    finally:
        learned.end()


def _tell(watch: Watch, column: Rows) -> None:
    watch.add(looked_at(column))
