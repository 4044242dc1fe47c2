"""Kubernetes objects for shards that hold only the tokens of their own tenants."""
