"""Trained models: presets and data, one run, what is measured of it, the claims of the paper."""
