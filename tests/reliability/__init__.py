"""Commands that are killed at drawn moments: what they leave, and that the same command ends as if undisturbed."""
