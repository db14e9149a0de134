"""The same rules and dashboards for those who load them otherwise, and how files are written."""
