"""Errors, constants with their sources, unit conversions, seeded random streams."""
