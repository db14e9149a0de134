"""The cascade in a terminal, live."""
