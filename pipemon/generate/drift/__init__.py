"""Drift as recording rules: how far the live distribution of a feature is from its baseline's, over all replicas."""
