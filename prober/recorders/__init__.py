"""Who listens to results. None may slow or break a probe."""
