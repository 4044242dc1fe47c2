"""A tenant's report over a time range: one value (`models.Report`) in three formats."""
