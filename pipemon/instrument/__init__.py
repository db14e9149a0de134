"""What runs inside the user's service: from a decorated call to `/metrics`."""
