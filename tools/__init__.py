"""Tools that make files of this repository."""
