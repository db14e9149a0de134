"""Monitoring of multi-stage machine-learning pipelines for Prometheus and Grafana."""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from pipemon.errors import DeclarationError, PipemonError
from pipemon.version import __version__

if _TYPE_CHECKING:
    from pipemon.baseline.calls import learning
    from pipemon.instrument.block import Call
    from pipemon.instrument.calls import drop, skip
    from pipemon.instrument.drill_allowing import allow_drills
    from pipemon.instrument.exposition.apps import aiohttp_handler, asgi_app, wsgi_app
    from pipemon.instrument.exposition.push import batch_job, push
    from pipemon.instrument.exposition.server import Exposition, expose
    from pipemon.instrument.exposition.textfile import write_textfile
    from pipemon.instrument.features import Category, Feature
    from pipemon.instrument.gpu import gpu_metrics
    from pipemon.instrument.logfilter import LogFilter
    from pipemon.instrument.model import Model
    from pipemon.instrument.pipeline import Pipeline
    from pipemon.instrument.run import Run, current_run
    from pipemon.instrument.scores import Score
    from pipemon.instrument.stage import Stage

__all__ = [
    "Call",
    "Category",
    "DeclarationError",
    "Exposition",
    "Feature",
    "LogFilter",
    "Model",
    "Pipeline",
    "PipemonError",
    "Run",
    "Score",
    "Stage",
    "__version__",
    "aiohttp_handler",
    "allow_drills",
    "asgi_app",
    "batch_job",
    "current_run",
    "drop",
    "expose",
    "gpu_metrics",
    "learning",
    "push",
    "skip",
    "write_textfile",
    "wsgi_app",
]

# Loaded together when the first of them is asked for: no command needs them, nor numpy and prometheus-client.
_IN_SERVICES = {
    "Call": "instrument.block",
    "Category": "instrument.features",
    "Feature": "instrument.features",
    "Pipeline": "instrument.pipeline",
    "Run": "instrument.run",
    "Stage": "instrument.stage",
    "current_run": "instrument.run",
    "drop": "instrument.calls",
    "skip": "instrument.calls",
}
# Loaded when first asked for: a service needs one or two of them.
_LATER = {
    "Exposition": "instrument.exposition.server",
    "LogFilter": "instrument.logfilter",
    "Model": "instrument.model",
    "Score": "instrument.scores",
    "aiohttp_handler": "instrument.exposition.apps",
    "allow_drills": "instrument.drill_allowing",
    "asgi_app": "instrument.exposition.apps",
    "batch_job": "instrument.exposition.push",
    "expose": "instrument.exposition.server",
    "gpu_metrics": "instrument.gpu",
    "learning": "baseline.calls",
    "push": "instrument.exposition.push",
    "write_textfile": "instrument.exposition.textfile",
    "wsgi_app": "instrument.exposition.apps",
}


def __getattr__(name: str) -> _Any:
    if name in ("baseline", "features", "testing"):
        return _import_module(f"pipemon.{name}")
    if name in _IN_SERVICES:
        globals().update({each: getattr(_import_module(f"pipemon.{at}"), each) for each, at in _IN_SERVICES.items()})
        return globals()[name]
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(_import_module(f"pipemon.{_LATER[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
