"""Failure modes over the past: when each would have fired, and what its threshold could be."""
