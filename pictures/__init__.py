"""Pictures of the generated dashboards, drawn from the speech example's live data; not part of the package."""
