"""How often drift is seen where there is none, and how often where there is some."""
