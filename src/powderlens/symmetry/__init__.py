"""Floor 1: space groups: systems, symbols, extinction classes, Wyckoff sites; tables name their source."""
