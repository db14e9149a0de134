"""Grafana dashboards: one of each pipeline with its failure modes, and some that suit any pipeline."""
