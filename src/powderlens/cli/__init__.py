"""Floor 10: the program `powderlens`, a thin face with no science in it."""
