"""Which group of users or inputs the pipeline serves worst, and how much it weighs."""
