"""One module per family of file formats; each turns text or bytes into a `Scan`."""
