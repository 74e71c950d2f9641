"""The jobs of `reproduce`: what is to be done, the processes that do it, and what they tell meanwhile."""
