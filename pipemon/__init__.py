"""Monitoring of multi-stage machine-learning pipelines for Prometheus and Grafana."""

from pipemon.errors import DeclarationError, PipemonError
from pipemon.instrument.block import Call
from pipemon.instrument.calls import drop, skip
from pipemon.instrument.exposition import Exposition, expose
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
    "current_run",
    "drop",
    "expose",
    "gpu_metrics",
    "skip",
]
