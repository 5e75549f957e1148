"""A benchmark from one plan: crystals drawn, corpora built, networks trained and tested under one budget."""
