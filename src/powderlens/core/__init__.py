"""Floor 0: errors, constants with their sources, unit conversions, seeded random streams."""
