"""Failure modes as a team writes them: from YAML text with positions to a resolved model."""
