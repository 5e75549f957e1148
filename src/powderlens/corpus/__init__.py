"""Crystals and their reflections on disk."""
