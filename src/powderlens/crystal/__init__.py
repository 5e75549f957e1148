"""Crystal structures; read, labelled, reduced."""
