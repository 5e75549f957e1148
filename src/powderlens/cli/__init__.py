"""The program `powderlens`, a thin face with no science in it."""
