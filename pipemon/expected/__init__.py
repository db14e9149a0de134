"""Changes that a team announces, so that nobody is woken by what was meant to happen."""
