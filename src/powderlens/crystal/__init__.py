"""Floor 2: crystal structures; read, labelled, reduced."""
