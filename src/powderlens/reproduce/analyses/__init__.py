"""Analyses of records: each kind is one file, listed in `registry`, see docs/ANALYSES.md."""
