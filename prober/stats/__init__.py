"""Aggregates, incidents, objectives and status, computed from results."""
