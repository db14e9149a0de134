"""Baselines: the reference of each feature, from training data, from decorated calls or from a good period."""

from pipemon.baseline.calls import Learning, learning
from pipemon.baseline.tables import learn

__all__ = ["Learning", "learn", "learning"]
