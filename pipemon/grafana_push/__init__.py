"""Brings the generated dashboards into a Grafana, and leaves alone what people changed there."""
