"""How good the answers are. Note: it reads beliefs, it never makes them."""
