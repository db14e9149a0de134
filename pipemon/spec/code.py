"""The topology that decorated code tells: `code: module:pipeline` is imported and asked."""

from __future__ import annotations

import gc
import importlib
import os
import re
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipemon.errors import nearest
from pipemon.spec.reader import shown
from pipemon.topology import PipelineShape, being_described

_INSTALLED = {
    *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    str(Path(__file__).parents[1]),
}
_MODULE = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_FILE = re.compile(r"(?:\./)?((?:[^\W\d]\w*/)*[^\W\d]\w*)\.py:(\w+)")


class CodeError(Exception):
    """The code can't be imported, or holds no such pipeline; the message is one sentence."""


def shape_of(reference: str, folder: Path, beside: Path | None = None) -> PipelineShape:
    """Return what the pipeline at `module:name` says of itself.

    The module is looked for in `folder` (that of the YAML file), then in `beside`, then as Python does, and last in
    the current folder, where `python -m` looks too. Raises CodeError.
    """
    module_name, _, attribute = reference.partition(":")
    if file := _FILE.fullmatch(reference):
        meant = f"{'.'.join(re.findall(r'[^/]+', file[1]))}:{file[2]}"
        raise CodeError(f"expected a module, not its file; did you mean {shown(meant)}?")
    if not _MODULE.fullmatch(module_name) or not attribute.isidentifier():
        raise CodeError(f"expected module:pipeline, such as app.speech:speech, found {shown(reference)}")
    folders = [str(each.resolve()) for each in (folder, beside) if each is not None]
    sys.path[:0] = folders
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
        folders.append(here)
    asked = being_described.set(True)
    try:
        # Files may be newer than what Python remembers of the folder.
        importlib.invalidate_caches()
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # noqa: BLE001 whatever the user's module raises
        raise CodeError(_why(error, module_name, folder)) from None
    finally:
        being_described.reset(asked)
        for path in folders:
            if path in sys.path:
                sys.path.remove(path)
    try:
        pipeline = getattr(module, attribute, None)
        if pipeline is None:
            pipelines = [name for name, value in vars(module).items() if callable(_describe(value))]
            hint = nearest(attribute, pipelines) or (f"; it has {', '.join(pipelines)}" if pipelines else "")
            raise CodeError(f"the module {module_name!r} has no {attribute!r}{hint}")
        describe = _describe(pipeline)
        shape = describe(pipeline) if callable(describe) else None
    except CodeError:
        raise
    except Exception as error:  # noqa: BLE001 whatever the user's object raises
        raise CodeError(f"{reference!r} can't be asked for its stages: {_words(error)}") from None
    if not isinstance(shape, PipelineShape):
        raise CodeError(f"{reference!r} is {_a(type(pipeline).__name__)}, not a pipemon.Pipeline")
    return shape


@contextmanager
def forgotten() -> Iterator[None]:
    """Forget what is imported within, so that a module of the same name elsewhere is read anew."""
    before = set(sys.modules)
    try:
        yield
    finally:
        for name in set(sys.modules) - before:
            # What is installed stays: it is the same for everyone, and much of it can't be loaded twice.
            file = str(getattr(sys.modules[name], "__file__", None) or "")
            if file and not _is_installed(file):
                del sys.modules[name]
        # A pipeline that is gone holds its stages' names no more.
        gc.collect()


def _is_installed(file: str) -> bool:
    return any(file.startswith(f"{folder}{os.sep}") for folder in _INSTALLED)


def _describe(value: object) -> object:
    # Of the type: a proxy's own attributes may raise where there is nothing behind it.
    return getattr(type(value), "describe", None)


def _why(error: BaseException, module_name: str, folder: Path) -> str:
    first = module_name.partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and error.name == first:
        beside = sorted(
            {path.stem for each in (folder, Path.cwd()) for path in each.glob("*.py")}
            | {path.parent.name for each in (folder, Path.cwd()) for path in each.glob("*/*.py")}
        )
        return f"there is no module {first!r} beside this file, here or on Python's path{nearest(first, beside)}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    frames = [frame for frame in frames if frame.filename != __file__]
    # What a library refuses is mended where it was called.
    own = [frame for frame in frames if not (_is_installed(frame.filename) or frame.filename[0] == "<")] or frames
    where = f" at {Path(own[-1].filename).name}:{own[-1].lineno}" if own else ""
    return f"importing {module_name!r} failed{where}: {_words(error)}"


def _words(error: BaseException) -> str:
    message = " ".join(str(error).split())
    return f"{type(error).__name__}{f': {message}' if message else ''}"


def _a(word: str) -> str:
    return f"{'an' if word[:1].lower() in 'aeiou' else 'a'} {word}"
