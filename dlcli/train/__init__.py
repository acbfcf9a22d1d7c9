"""The training loop, checkpoints, metrics and the run directory."""
