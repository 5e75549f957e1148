"""From a structure to reflections, from reflections to a pattern."""
