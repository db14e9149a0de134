"""The demo: a real cascade, Prometheus and Alertmanager on this machine, broken on purpose."""
