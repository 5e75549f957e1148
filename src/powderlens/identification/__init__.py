"""Network, library and (later) cell joined into one answer."""
