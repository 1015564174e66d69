"""Work on a cluster: jobs of Slurm through submitit, what was submitted, what became of it."""
