"""Recipes, losses, the training engine, export. Needs the extra `train`."""
