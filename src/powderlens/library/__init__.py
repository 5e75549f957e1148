"""Known phases, and finding the one that a pattern looks like."""
