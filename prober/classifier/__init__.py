"""Classifies an HTTP exchange: outcome, reason and culprit."""
