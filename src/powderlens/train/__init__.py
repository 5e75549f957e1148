"""Floor 7: recipes, losses, the training engine, export. Needs the extra `train`."""
