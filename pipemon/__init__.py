"""Monitoring of multi-stage machine-learning pipelines for Prometheus and Grafana."""

from pipemon.errors import DeclarationError, PipemonError
from pipemon.instrument.exposition import Exposition, expose
from pipemon.instrument.features import Feature
from pipemon.instrument.pipeline import Pipeline
from pipemon.instrument.run import Run, current_run
from pipemon.version import __version__

__all__ = [
    "DeclarationError",
    "Exposition",
    "Feature",
    "Pipeline",
    "PipemonError",
    "Run",
    "__version__",
    "current_run",
    "expose",
]
