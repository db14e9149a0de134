"""One tool over streams of numbers, in the Python that has it: `python watching.py TOOL STREAMS.npz`; prints JSON.

Each stream is `<name>/reference`, shape (10000,), and `<name>/live`, shape (n,). Tools that judge batches get 1,000
values at a time, those that judge values get them one by one. All have the settings that they come with.
"""

from __future__ import annotations

import json
import resource
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

BATCH = 1000
Watcher = Callable[[np.ndarray, np.ndarray], Iterator[int]]


def batches(live: np.ndarray, drifted: Callable[[np.ndarray], bool]) -> Iterator[int]:
    for begin in range(0, len(live), BATCH):
        if drifted(live[begin : begin + BATCH]):
            yield begin + BATCH


def evidently() -> dict[str, Watcher]:
    import pandas  # noqa: PLC0415
    from evidently import DataDefinition, Dataset, Report  # noqa: PLC0415
    from evidently.metrics import ValueDrift  # noqa: PLC0415

    said = DataDefinition(numerical_columns=["x"])

    def dataset(values: np.ndarray) -> Any:
        return Dataset.from_pandas(pandas.DataFrame({"x": values}), data_definition=said)

    def watch(reference: np.ndarray, live: np.ndarray) -> Iterator[int]:
        before = dataset(reference)
        report = Report([ValueDrift(column="x")])

        def drifted(values: np.ndarray) -> bool:
            told = report.run(dataset(values), before).dict()["metrics"][0]
            # Whole samples of up to 1,000 have a p-value, greater ones a distance.
            limit, value = told["config"]["threshold"], float(told["value"])
            return bool(value < limit if "p_value" in told["config"]["method"] else value >= limit)

        return batches(live, drifted)

    return {"evidently: wasserstein": watch}


def nannyml() -> dict[str, Watcher]:
    import nannyml  # noqa: PLC0415
    import pandas  # noqa: PLC0415

    def by(method: str) -> Watcher:
        def watch(reference: np.ndarray, live: np.ndarray) -> Iterator[int]:
            of = nannyml.UnivariateDriftCalculator(["x"], continuous_methods=[method], chunk_size=BATCH)
            of.fit(pandas.DataFrame({"x": reference}))
            told = of.calculate(pandas.DataFrame({"x": live})).filter(period="analysis").to_df()
            return (BATCH * (i + 1) for i, alert in enumerate(told[("x", method, "alert")]) if alert)

        return watch

    return {f"nannyml: {method}": by(method) for method in ("jensen_shannon", "wasserstein", "kolmogorov_smirnov")}


def alibi_detect() -> dict[str, Watcher]:
    from alibi_detect.cd import KSDrift  # noqa: PLC0415

    def watch(reference: np.ndarray, live: np.ndarray) -> Iterator[int]:
        detector = KSDrift(reference[:, None], p_val=0.05)
        return batches(live, lambda values: bool(detector.predict(values[:, None])["data"]["is_drift"]))

    return {"alibi-detect: KSDrift": watch}


def river() -> dict[str, Watcher]:
    from river import drift  # noqa: PLC0415

    def by(kind: Callable[[], Any]) -> Watcher:
        def watch(reference: np.ndarray, live: np.ndarray) -> Iterator[int]:
            detector = kind()
            for at, value in enumerate(live.tolist(), 1):
                detector.update(value)
                if detector.drift_detected:
                    yield at

        return watch

    return {"river: ADWIN": by(drift.ADWIN), "river: PageHinkley": by(drift.PageHinkley)}


def main() -> None:
    warnings.simplefilter("ignore")
    tool, path = sys.argv[1:]
    streams = np.load(path)
    names = sorted({name.rpartition("/")[0] for name in streams.files})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = {}
    for detector, watch in globals()[tool]().items():
        alarms, values = {}, 0
        # Warmed up, so that what is done once does not count.
        list(watch(streams[f"{names[0]}/reference"], streams[f"{names[0]}/live"]))
        begun = time.process_time()
        for name in names:
            live = streams[f"{name}/live"]
            values += len(live)
            alarms[name] = list(watch(streams[f"{name}/reference"], live))
        seconds = (time.process_time() - begun) / values * 1e6
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        found[detector] = {"alarms": alarms, "seconds": seconds, "megabytes": grown}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
