"""Training: batches, the loop, checkpoints, run directories."""
