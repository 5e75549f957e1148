"""Floor 8: how good the answers are. Note: it reads beliefs, it never makes them."""
