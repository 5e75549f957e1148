"""Floor 6: networks, and the runtime that answers with them."""
