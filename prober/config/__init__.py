"""Settings: files, environment, defaults and their validation."""
