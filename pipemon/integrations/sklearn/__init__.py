"""scikit-learn: the steps of a model become stages. `from pipemon.integrations.sklearn import instrument`."""

from pipemon.integrations.sklearn.instrumentation import instrument
from pipemon.integrations.sklearn.recording import paused

__all__ = ["instrument", "paused"]
