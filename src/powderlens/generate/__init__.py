"""Synthetic crystals: Wyckoff and lattice statistics of a database, and crystals drawn from them."""
