"""Mutation testing of the readers and of the checker, by drawn mutants."""
