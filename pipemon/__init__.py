"""Monitoring of multi-stage machine-learning pipelines for Prometheus and Grafana."""

from pipemon.errors import DeclarationError, PipemonError
from pipemon.instrument.block import Call
from pipemon.instrument.calls import drop, skip
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
from pipemon.instrument.stage import Stage
from pipemon.version import __version__

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
    "Stage",
    "__version__",
    "aiohttp_handler",
    "asgi_app",
    "batch_job",
    "current_run",
    "drop",
    "expose",
    "gpu_metrics",
    "push",
    "skip",
    "write_textfile",
    "wsgi_app",
]
