"""Verdicts of theory for the command line: what was typed, what was decided, and the certificate stored of it."""
