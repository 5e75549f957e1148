"""What a training run is made of: data, losses, optimiser, averaging, checkpoints, and what watches it."""
