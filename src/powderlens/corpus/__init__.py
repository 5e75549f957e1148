"""Floor 5: crystals and their reflections on disk."""
