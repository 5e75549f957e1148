"""Floor 5: known phases, and finding the one that a pattern looks like."""
