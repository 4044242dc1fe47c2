"""Whose is it: values in, a verdict out. The whole room is pure: no I/O, no clock."""
