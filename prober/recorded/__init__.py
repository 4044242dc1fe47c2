"""Exchanges that were saved in a file: what `prober explain` reads. Pure."""
