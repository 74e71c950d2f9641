"""Fuzzing of all that reads what strangers wrote: formulas, certificates, data files, checkpoints, run folders."""
