"""Measured and calculated powder patterns."""
