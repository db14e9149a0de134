"""Features to take from a stage's inputs and outputs: `from pipemon.features import words`."""

from pipemon.instrument.extractors.arrays import embedding_norm, maximum, mean, minimum, share_missing, share_of, std
from pipemon.instrument.extractors.audio import audio_seconds, level_dbfs, snr_db
from pipemon.instrument.extractors.categories import dtype, label, language, shape, top_class
from pipemon.instrument.extractors.images import brightness, contrast, resolution, sharpness
from pipemon.instrument.extractors.probabilities import confidence, entropy, margin
from pipemon.instrument.extractors.slices import by
from pipemon.instrument.extractors.text import (
    has_capitals,
    has_fillers,
    has_punctuation,
    share_out_of_vocabulary,
    tokens,
    words,
)
from pipemon.instrument.extractors.values import length, value
from pipemon.instrument.features import Category, Feature

__all__ = [
    "Category",
    "Feature",
    "audio_seconds",
    "brightness",
    "by",
    "confidence",
    "contrast",
    "dtype",
    "embedding_norm",
    "entropy",
    "has_capitals",
    "has_fillers",
    "has_punctuation",
    "label",
    "language",
    "length",
    "level_dbfs",
    "margin",
    "maximum",
    "mean",
    "minimum",
    "resolution",
    "shape",
    "share_missing",
    "share_of",
    "share_out_of_vocabulary",
    "sharpness",
    "snr_db",
    "std",
    "tokens",
    "top_class",
    "value",
    "words",
]
