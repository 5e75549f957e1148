"""Readers and writers of crystal structures, one file a format."""
