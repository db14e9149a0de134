"""From a resolved spec to Prometheus rules, rule tests, Alertmanager configuration and dashboards."""
