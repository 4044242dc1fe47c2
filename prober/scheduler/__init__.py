"""When each probe runs."""
