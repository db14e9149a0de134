"""Devices behind a link that comes and goes: what runs there, and the centre's side."""
