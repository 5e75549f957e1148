"""Networks of powderlens itself, as the registry sees them."""
