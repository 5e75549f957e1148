"""Networks, and the runtime that answers with them."""
