"""Whole-pattern least squares; profile parameters times intensities, with uncertainties."""
