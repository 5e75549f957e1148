"""Floor 9: network, library and (later) cell joined into one answer."""
