"""The failure modes against what really runs: a Prometheus, or the page of one process."""
