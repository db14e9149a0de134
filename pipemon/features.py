"""Features to take from a stage's inputs and outputs: `from pipemon.features import words`."""

from pipemon.instrument.extractors.arrays import mean, share_missing
from pipemon.instrument.extractors.audio import audio_seconds, level_dbfs
from pipemon.instrument.extractors.text import words
from pipemon.instrument.extractors.values import length, value
from pipemon.instrument.features import Category, Feature

__all__ = ["Category", "Feature", "audio_seconds", "length", "level_dbfs", "mean", "share_missing", "value", "words"]
