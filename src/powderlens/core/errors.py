"""The errors a user can cause; each message carries the value, the limit and the remedy."""


class PowderlensError(Exception):
    """Base of every error that powderlens raises on purpose; the program prints it in one line."""


class InputError(PowderlensError, ValueError):
    """The user's input (a file, a value, an option) cannot be used as it is."""


class PatternError(InputError):
    """A measured pattern cannot be read or is not a powder pattern."""


class StructureError(InputError):
    """A crystal structure cannot be read or is not usable."""


class WavelengthError(InputError):
    """No wavelength is known, or the one given is not one."""


class CoverageError(InputError):
    """A pattern is measured on a part of a network's grid, and the network reads no mask."""


class MissingExtraError(PowderlensError, ImportError):
    """A part of powderlens needs an optional extra that is not installed."""
