"""Features to take from a stage's inputs and outputs: `from pipemon.features import words`."""

from pipemon.instrument.features import (
    Feature,
    audio_seconds,
    length,
    level_dbfs,
    mean,
    share_missing,
    value,
    words,
)

__all__ = ["Feature", "audio_seconds", "length", "level_dbfs", "mean", "share_missing", "value", "words"]
