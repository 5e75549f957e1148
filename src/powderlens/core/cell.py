"""What the six numbers of a unit cell are called."""

from __future__ import annotations

CELL_NAMES = ("a_A", "b_A", "c_A", "alpha_deg", "beta_deg", "gamma_deg")
"""With their units, as answers and tables name them."""
CELL_LETTERS = ("a", "b", "c", "alpha", "beta", "gamma")
"""As files of others name them."""
