"""A baseline of arrays and data frames whose columns are features."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from pipemon.baseline.bins import Values
from pipemon.baseline.calls import learning
from pipemon.baseline.seen import MOST, Seen, Watch, are_there
from pipemon.baseline.summary import baseline_of, features_of
from pipemon.errors import OptionError, nearest
from pipemon.instrument.features import Category
from pipemon.instrument.pipeline import Pipeline
from pipemon.instrument.taking import number
from pipemon.spec.baseline import EARLIEST, LATEST, Baseline
from pipemon.topology import FeatureShape, PipelineShape

Table: TypeAlias = Any
"""Columns by their names: a mapping of arrays or lists, a data frame of pandas or polars, a structured array."""

_TRUTHS = {"true": 1.0, "false": 0.0}
"""Truth values as files have them; an extractor's own count as 1 and 0."""
_NOTHING = frozenset({"", "-", "?", "n/a", "na", "nan", "<na>", "nat", "nil", "none", "null"})


class Columns(NamedTuple):
    """Which column of a table is which feature, what may be one of several, and the columns that are none."""

    of: Mapping[str, str]
    unclear: Mapping[str, tuple[str, ...]]
    ignored: tuple[str, ...]


def learn(
    pipeline: Pipeline | PipelineShape,
    data: Table,
    *,
    run: Callable[[Any], object] | None = None,
    columns: Mapping[str, str] | None = None,
    time: str | None = None,
    version: str | None = None,
    source: str = "",
    max_values: int = MOST,
) -> Baseline:
    """Return the baseline of a pipeline, of a table of its features or of data that goes through its stages.

        pipemon.baseline.learn(fraud, frame, columns={"amount_eur": "score.input.amount"})
        pipemon.baseline.learn(speech, recordings, run=answer)

    Args:
        pipeline: whose features they are.
        data: columns, each a feature: a mapping of arrays, a data frame of pandas or polars, or a structured array.
            A column is named after its feature: `score.input.amount`, or a part of that which only one feature
            has. With `run`: any iterable.
        run: a function that takes one item of `data` and calls decorated stages; what they see is learned.
        columns: the features of columns with other names.
        time: the column that tells when each row was, in Unix seconds or as dates; rows are put in its order.
            Without it they are taken to be in the order of real traffic, and nobody knows the same hours of days.
        version: of the model that the data are the reference of; by default that of the code.
        source: where the data come from, for people.
        max_values: how many values of a feature are kept; of more, as many are drawn.

    Raises OptionError for a column that is no feature's, or holds no numbers; and where there is nothing to learn.
    """
    if run is not None:
        if not isinstance(pipeline, Pipeline):
            raise OptionError("run= needs the decorated pipeline itself")
        with learning(pipeline, source=source or "decorated calls", max_values=max_values) as learned:
            for item in data:
                run(item)
        return learned.baseline
    shape = pipeline.describe() if isinstance(pipeline, Pipeline) else pipeline
    names = names_of(data)
    found = match(shape, [name for name in names if name != time], columns or {})
    if not found.of:
        raise OptionError(
            f"no column is a feature of {shape.name}: there are {', '.join(names) or 'none'}; "
            f"its features are {', '.join(features_of(shape)) or 'none'}"
        )
    when = _times(time, data[time]) if time is not None and time in names else None
    if time is not None and when is None:
        raise OptionError(f"there is no column {time!r}{nearest(time, names)}")
    order = None if when is None else np.argsort(when, kind="stable")
    shapes, rows = features_of(shape), 0
    seen: dict[str, Seen] = {}
    for key, name in found.of.items():
        values = _values(shapes[key], name, data[name])
        if seen and len(values) != rows:
            raise OptionError(f"column {name!r} has {len(values):,} rows, others have {rows:,}")
        rows = len(values)
        if order is not None and len(order) != rows:
            raise OptionError(f"column {name!r} has {rows:,} rows, the times are {len(order):,}")
        seen[key] = _seen(values, max_values) if when is None else _seen(values[order], max_values, when[order])
    period = (0.0, 0.0) if when is None or not len(when) else (float(when.min()), float(when.max()))
    made = baseline_of(shape, seen, version=version, source=source, rows=rows, period=period)
    if not made.features:
        raise OptionError(f"no feature of {shape.name} has a value in the data")
    return made


def match(shape: PipelineShape, names: Iterable[str], columns: Mapping[str, str]) -> Columns:
    """Return which column is which feature: by `columns` first, else by name. Raises OptionError for a wrong one."""
    names, keys = list(names), features_of(shape)
    found: dict[str, str] = {}
    for column, wanted in columns.items():
        if column not in names:
            raise OptionError(f"there is no column {column!r}{nearest(column, names)}")
        which = _features(keys, wanted)
        if len(which) != 1:
            several = f" could be {' or '.join(which)}" if which else f" is no feature{nearest(wanted, keys)}"
            raise OptionError(f"{wanted!r}{several}; write <stage>.<direction>.<feature>")
        found[which[0]] = column
    unclear, ignored = {}, []
    for name in (name for name in names if name not in columns):
        which = _features(keys, name)
        if len(which) == 1:
            found.setdefault(which[0], name)
        elif left := tuple(key for key in which if key not in found):
            unclear[name] = left
        else:
            ignored.append(name)
    return Columns(found, unclear, tuple(ignored))


def _features(keys: Mapping[str, FeatureShape], name: str) -> list[str]:
    """Return the features that a name may mean: the whole, or what only its end says."""
    if name in keys:
        return [name]
    ends = [key for key in keys if key.endswith(f".{name}")]
    return ends or [key for key, shape in keys.items() if shape.short == name]


def names_of(data: Table) -> list[str]:
    """Return the names of a table's columns. Raises OptionError for what has none."""
    if isinstance(data, Mapping):
        return list(data)
    names = getattr(getattr(data, "dtype", None), "names", None) or getattr(data, "columns", None)
    if names is None:
        raise OptionError(f"expected columns by their names, or run=, found {type(data).__name__}")
    return [str(name) for name in names]


def _values(shape: FeatureShape, name: str, column: Any) -> Values:
    if shape.categories:
        return Category(shape.name, str, categories=shape.categories).index_many(_items(column))
    _refuse(name, column)
    try:
        masked = isinstance(column, np.ma.MaskedArray)
        return np.array(column.astype(np.float64).filled(np.nan) if masked else column, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        items = _items(column)
    found = np.array([_number(item) for item in items], dtype=np.float64)
    pairs = zip(items, found, strict=True)
    words = [item for item, value in pairs if math.isnan(value) and _says_something(item)]
    if words and np.isnan(found).all():
        raise OptionError(f"column {name!r} holds no numbers but values such as {words[0]!r}; is it a category?")
    if words:
        raise OptionError(f"column {name!r} holds values such as {words[0]!r} among numbers; leave missing ones empty")
    return found


def _refuse(name: str, column: Any) -> None:
    """Raise OptionError for what numpy would make numbers of, and a recorder would not."""
    try:
        array = np.asarray(column)
    except ValueError:  # rows of several lengths
        raise OptionError(f"column {name!r} holds several values in a row; a feature is one number") from None
    if array.ndim != 1:
        raise OptionError(f"column {name!r} holds {'several values in a row' if array.ndim else 'no rows'}")
    if what := {"M": "dates", "m": "lengths of time", "c": "complex numbers", "V": "rows"}.get(array.dtype.kind):
        hint = " such as seconds" if array.dtype.kind in "Mm" else ""
        raise OptionError(f"column {name!r} holds {what}; make numbers{hint} of them, as the stage's extractor does")


def _says_something(item: Any) -> bool:
    """Tell a value that is no number from what stands, in one way or another, for none; an integer is too large."""
    return not isinstance(item, int) and str(item).strip().lower() not in _NOTHING


def _number(item: Any) -> float:
    if isinstance(item, str):
        try:
            return _TRUTHS[item.strip().lower()] if item.strip().lower() in _TRUTHS else float(item)
        except ValueError:
            return math.nan
    return number(item)


def _items(column: Any) -> list[Any]:
    listed: list[Any] = column.tolist() if hasattr(column, "tolist") else list(column)
    return listed


def _times(name: str, column: Any) -> Values:
    found = _seconds(name, column)
    if len(found) and not EARLIEST <= found.min() <= found.max() < LATEST:
        odd = found[np.argmax(np.abs(found))]
        raise OptionError(f"column {name!r} holds {odd:.6g}, which is no time in Unix seconds; are they milliseconds?")
    return found


def _seconds(name: str, column: Any) -> Values:
    array = np.asarray(column)
    if array.dtype.kind == "M" and not np.isnat(array).any():
        return array.astype("datetime64[us]").astype(np.float64) / 1e6
    items = _items(column)
    try:
        # 20260131 is a day, any other number Unix seconds; those of a .csv are texts.
        if array.dtype.kind in "iuf" or not (
            array.dtype.kind == "M" or all(len(str(item)) == len("20260131") for item in items)
        ):
            found = array.astype(np.float64)
            if np.isfinite(found).all():
                return found
    except (TypeError, ValueError):
        pass
    try:
        return np.array([_moment(item) for item in items])
    except (TypeError, ValueError):
        raise OptionError(f"column {name!r} holds no times; write Unix seconds or 2026-01-31T12:00") from None


def _moment(item: Any) -> float:
    moment = item if isinstance(item, datetime) else datetime.fromisoformat(str(item))
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _seen(values: Values, most: int, times: Values | None = None) -> Seen:
    watch = Watch(most)
    watch.add(values)
    seen = watch.seen()
    return seen if times is None else seen._replace(times=times[are_there(values)][: len(seen.first)])
