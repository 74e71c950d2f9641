"""Many trainings: grids of jobs, where they run, what they left, and the table of the paper."""
