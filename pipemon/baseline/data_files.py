"""Tables in files: Parquet, CSV, and numpy's own."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from pipemon.baseline.tables import Table
from pipemon.errors import OptionError


def read(path: Path) -> Table:
    """Return a file's columns by their names: .parquet (with polars or pandas), .csv, .npz, .npy.

    A .npy file is a structured array, or one of numbers, whose columns are 0, 1, ... Of a CSV file an empty field
    is missing. Raises OptionError for what can't be read.
    """
    readers: dict[str, Callable[[Path], Table]] = {
        ".parquet": _parquet, ".csv": _csv, ".npz": _npz, ".npy": _npy
    }  # fmt: skip
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise OptionError(f"{path}: expected a file that ends in {', '.join(readers)}")
    try:
        return reader(path)
    except OptionError:
        raise
    except OSError as error:
        raise OptionError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from None
    except Exception as error:  # noqa: BLE001  whatever a library says of a broken file
        raise OptionError(f"cannot read {path}: {' '.join(str(error).split()) or type(error).__name__}") from None


def _parquet(path: Path) -> Table:
    path.open("rb").close()  # a file that is not there is told in the same words by all
    for library in ("polars", "pandas"):
        try:
            return import_module(library).read_parquet(path)
        except ImportError:  # pandas' own too, where it lacks an engine
            continue
    raise OptionError("reading Parquet needs polars, or pandas with pyarrow; get it with: pip install 'pipemon[data]'")


def _csv(path: Path) -> Table:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file)
        names = next(rows, None)
        if not names:
            raise OptionError(f"{path}: expected names in the first line")
        if twice := next((name for index, name in enumerate(names) if name in names[:index]), None):
            raise OptionError(f"{path}: there are two columns {twice!r}")
        if len(names) == 1 and (between := next((mark for mark in ";\t|" if mark in names[0]), None)):
            raise OptionError(f"{path}: expected commas between fields, found {between!r}")
        columns: list[list[str | None]] = [[] for _ in names]
        for number, row in enumerate(rows, start=2):
            if not row:
                continue
            if len(row) != len(names):
                raise OptionError(f"{path}:{number}: expected {len(names)} fields, found {len(row)}")
            for column, field in zip(columns, row, strict=True):
                column.append(field if field.strip() else None)
    return dict(zip(names, columns, strict=True))


def _npz(path: Path) -> Table:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _npy(path: Path) -> Table:
    array: Any = np.load(path, allow_pickle=False)
    if array.dtype.names:
        return array
    columns: Iterable[Any] = [array] if array.ndim == 1 else array.T
    if array.ndim not in (1, 2):
        raise OptionError(f"{path}: expected rows and columns, found an array of {array.ndim} dimensions")
    return {str(index): column for index, column in enumerate(columns)}
