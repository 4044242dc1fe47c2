"""What to watch: the YAML file, checked whole, as tenants and probes of `model`."""
