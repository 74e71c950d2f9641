"""Losses on laws whose Bayes rule is known: population checks, learning curves, the frontier."""
