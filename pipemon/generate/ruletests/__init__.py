"""promtool unit tests of each failure mode: series on which it fires, stays quiet and resolves."""
