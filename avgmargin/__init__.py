"""Placeholder face, filled by its package."""
