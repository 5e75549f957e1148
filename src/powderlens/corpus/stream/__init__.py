"""Batches without end, each a pure function of its number."""
