"""The HTTP client: sends one request and measures it."""
