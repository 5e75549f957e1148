"""A corpus on disk: what is written, how it is built, opened, verified."""
