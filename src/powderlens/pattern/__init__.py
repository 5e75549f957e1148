"""Floor 2: measured and calculated powder patterns."""
