"""How far simulated patterns are from measured ones."""
