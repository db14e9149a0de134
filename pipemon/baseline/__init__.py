"""Baselines: the reference of each feature, from training data, from decorated calls or from a good period."""
