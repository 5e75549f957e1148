"""Corpora as files of other kinds, and back."""
