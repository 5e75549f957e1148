"""Simulated patterns of which the truth is known, by which answers are calibrated and judged."""
