"""Floor 4: from a structure to reflections, from reflections to a pattern."""
