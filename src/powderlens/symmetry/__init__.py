"""Space groups: systems, symbols, extinction classes, Wyckoff sites; tables name their source."""
