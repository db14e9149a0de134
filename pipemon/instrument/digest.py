"""Short hashes of code, hyperparameters and data: equal in every process and on every machine, at a bounded cost."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
import math
import os
import sys
import textwrap
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from pipemon.errors import DeclarationError
from pipemon.instrument.log import logger

LENGTH = 8
"""Hex digits of a digest."""

MOST_BYTES = 64 << 20
"""What is larger is read in parts that come to this many bytes: 0.2 s on one slow core, if the disk keeps up."""

_PARTS = 64
_MOST_OBJECTS = 100_000
_NUMBERS = "biufcmMSU"


def of_code(code: Any) -> str | None:
    """Return the digest of a function's or class's source, a module's or package's files, a file or bytes.

    None for anything else. Comments count; how lines end does not.
    """
    if isinstance(code, bytes):
        return _short([code])
    if isinstance(code, os.PathLike):
        return of_file(code)
    if isinstance(code, types.ModuleType):
        return _short(_module(code))
    if inspect.isroutine(code) or inspect.isclass(code):
        try:
            source = textwrap.dedent(inspect.getsource(code))
        except (OSError, TypeError):
            told = "has no source that can be read; name it: code='v3'"
            raise DeclarationError(f"code: {getattr(code, '__qualname__', code)!r} {told}") from None
        return _short([_unix(source.encode())])
    return None


def of_params(params: Any) -> str | None:
    """Return the digest of hyperparameters: a mapping, a dataclass's instance or an argparse.Namespace.

    None for anything else. The order of keys doesn't count. Values may be texts, numbers, None, dates, paths,
    functions and classes (by name), enum members, arrays, and lists, sets and mappings of them.
    """
    argparse = sys.modules.get("argparse")  # whoever has a Namespace has imported it
    if argparse is not None and isinstance(params, argparse.Namespace):
        params = vars(params)
    if isinstance(params, Mapping) or (dataclasses.is_dataclass(params) and not isinstance(params, type)):
        return _short([_json(params, "params")])
    return None


def of_data(data: Any) -> str | None:
    """Return the digest of a file, bytes, an array or a data frame (its columns; not its index).

    None for anything else. What is larger than 64 MiB is read in 64 parts spread evenly over it, and texts and
    other objects at 100,000 places: a change between them is not seen, so give such data a name or its own hash.
    """
    if isinstance(data, bytes):
        return _short([data])
    if isinstance(data, os.PathLike):
        return of_file(data)
    if isinstance(data, np.ndarray) or (hasattr(data, "__array__") and not hasattr(data, "columns")):
        return _short(_column("", data))
    columns = _columns_of(data)
    if columns is None:
        return None
    return _short(part for name, values in columns for part in _column(name, values, share=len(columns)))


def of_file(path: os.PathLike[str] | str) -> str:
    """Return the digest of a file's bytes, read in parts when it is larger than 64 MiB; said in the log then.

    Raises DeclarationError if it can't be read.
    """
    try:
        with Path(path).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size <= MOST_BYTES:
                return _short([file.read()])
            logger().info(
                "%s has %d bytes: its hash is of 64 parts, one MiB each; name its version instead", path, size
            )

            def parts() -> Iterator[bytes]:
                yield str(size).encode()
                for start in _spread(size, MOST_BYTES // _PARTS):
                    file.seek(start)
                    yield file.read(MOST_BYTES // _PARTS)

            return _short(parts())
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DeclarationError(f"{os.fspath(path)!r} can't be read: {reason}; a text names a version") from None


def short(text: str) -> str:
    """Return the digest of a text."""
    return _short([text.encode()])


def _short(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))  # "ab", "c" is not "a", "bc"
        digest.update(part)
    return digest.hexdigest()[:LENGTH]


def _unix(source: bytes) -> bytes:
    return b"\n".join(line.rstrip() for line in source.splitlines())


def _module(module: types.ModuleType) -> Iterator[bytes]:
    """A module's source; of a package the path and source of each module in it, by path."""
    file = getattr(module, "__file__", None)
    if file is None or not file.endswith(".py"):
        raise DeclarationError(f"code: module {module.__name__!r} is no Python file; name it: code='v3'")
    top = Path(file)
    files = sorted(top.parent.rglob("*.py")) if top.name == "__init__.py" else [top]
    if sum(each.stat().st_size for each in files) > MOST_BYTES:
        raise DeclarationError(f"code: package {module.__name__!r} is larger than 64 MiB; name it: code='v3'")
    for each in files:
        yield each.relative_to(top.parent).as_posix().encode()
        yield _unix(each.read_bytes())


def _columns_of(frame: Any) -> list[tuple[str, Any]] | None:
    """A data frame's columns as arrays: pandas gives them as items, polars by iter_columns."""
    if not hasattr(frame, "columns"):
        return None
    if hasattr(frame, "iter_columns"):
        return [(str(series.name), series.to_numpy()) for series in frame.iter_columns()]
    if hasattr(frame, "items"):
        return [(str(name), series.to_numpy()) for name, series in frame.items()]
    return None


def _column(name: str, values: Any, share: int = 1) -> Iterator[bytes]:
    """Name, shape, type and values of an array; of a frame's columns each reads its share of what may be read."""
    try:
        array = np.asarray(values)
    except Exception as error:  # noqa: BLE001  another library's object
        raise DeclarationError(f"data: {type(values).__name__} gives no array: {error}") from None
    yield f"{name} {array.shape}".encode()
    if array.dtype.kind not in _NUMBERS:
        flat = array.reshape(-1)
        yield _json([flat[place] for place in _spread(len(flat), 1, max(2, _MOST_OBJECTS // share))], "data")
        return
    # One order of bytes and of elements, so that it is the same wherever it was made.
    array = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))
    raw = array.reshape(-1).view(np.uint8)
    yield array.dtype.str.encode()
    if raw.nbytes <= MOST_BYTES // share:
        yield raw.tobytes()
        return
    part = max(1, MOST_BYTES // share // _PARTS)
    for start in _spread(raw.nbytes, part):
        yield raw[start : start + part].tobytes()


def _spread(size: int, part: int, parts: int = _PARTS) -> Iterable[int]:
    """Where parts begin that are spread evenly, the first at the start and the last at the end."""
    if size <= part * parts:
        return range(0, size, part)
    return [round(index * (size - part) / (parts - 1)) for index in range(parts)]


def _json(value: Any, what: str) -> bytes:
    try:
        return json.dumps(_plain(value, what), sort_keys=True, separators=(",", ":")).encode()
    except RecursionError:
        raise DeclarationError(f"{what}: too deep, or it holds itself") from None


def _plain(value: Any, where: str) -> Any:
    """Return what JSON can write, or raise DeclarationError: an object's repr may be its address."""
    if value is None or (isinstance(value, bool | int | str) and not isinstance(value, Enum)):
        return value
    if type(value).__name__ in ("NAType", "NaTType"):  # pandas' missing values
        return None
    if isinstance(value, Enum):
        return f"{type(value).__qualname__}.{value.name}"
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, np.generic):
        return _plain(value.item(), where) if value.dtype.kind in "biufSU" else str(value)
    if isinstance(value, bytes | np.ndarray):
        return of_data(value)
    if isinstance(value, date):  # datetime is one
        return value.isoformat()
    if isinstance(value, os.PathLike):
        return Path(value).as_posix()
    if isinstance(value, Mapping):
        return {str(_plain(key, where)): _plain(each, f"{where}[{key!r}]") for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each, f"{where}[{index}]") for index, each in enumerate(value)]
    if isinstance(value, Set):
        return sorted((_plain(each, where) for each in value), key=lambda each: json.dumps(each, sort_keys=True))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name), f"{where}[{f.name!r}]") for f in dataclasses.fields(value)}
    return _name_of(value, where)


def _name_of(value: Any, where: str) -> str:
    name: str = getattr(value, "__qualname__", "")
    if isinstance(value, type | Callable) and name and "<" not in name:
        return f"{value.__module__}.{name}"
    kind = "a function without a name" if name else f"of type {type(value).__name__}"
    raise DeclarationError(f"{where} is {kind}, which is not the same text in every process; give a text or number")
