"""What linters of rules and routes, and Prometheus' own tools, say of the generated files."""
