"""The topology that decorated code tells: `code: module:pipeline` is imported and asked."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from pipemon.errors import nearest
from pipemon.topology import PipelineShape


class CodeError(Exception):
    """The code can't be imported, or holds no such pipeline; the message is one sentence."""


def shape_of(reference: str, folder: Path) -> PipelineShape:
    """Return what the pipeline at `module:name` says of itself.

    The module is looked for in `folder` (that of the YAML file), then as Python does. Raises CodeError.
    """
    module_name, colon, attribute = reference.partition(":")
    if not colon or not module_name or not attribute:
        raise CodeError(f"expected module:pipeline, such as app.speech:speech, found {reference!r}")
    path = str(folder.resolve())
    sys.path.insert(0, path)
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # noqa: BLE001 whatever the user's module raises
        message = " ".join(str(error).split()) or "no message"
        raise CodeError(f"importing {module_name!r} failed: {type(error).__name__}: {message}") from None
    finally:
        if path in sys.path:
            sys.path.remove(path)
    pipeline = getattr(module, attribute, None)
    if pipeline is None:
        pipelines = [name for name, value in vars(module).items() if hasattr(value, "describe")]
        raise CodeError(f"{module_name!r} has no {attribute!r}{nearest(attribute, pipelines)}")
    describe = getattr(pipeline, "describe", None)
    shape = describe() if callable(describe) else None
    if not isinstance(shape, PipelineShape):
        raise CodeError(f"{reference!r} is a {type(pipeline).__name__}, not a pipemon.Pipeline")
    return shape
