"""Mutation tests of the pure packages: tests that notice no change of the code are missing."""
