"""Where the phases of known databases come from: links, licences, and what was changed."""

from __future__ import annotations

from collections.abc import Iterable

CHANGED = (
    "symmetry found anew, cells and atoms moved onto it and brought into the standard setting; variants of one phase "
    "folded into the best of them; asymmetric units quantised (coordinates to 1/65520, anisotropic displacements "
    "to their equivalents); key lines computed"
)

ORIGINS: dict[str, dict[str, str]] = {
    "amcsd": {
        "name": "American Mineralogist Crystal Structure Database",
        "link": "https://rruff.geo.arizona.edu/AMS/amcsd.php",
        "licence": "free to use with citation of the papers and of Downs and Hall-Wallace, American Mineralogist 88, "
        "247 (2003)",
    },
    "oqmd": {
        "name": "Open Quantum Materials Database, structures of the ICSD as relaxed there",
        "link": "https://oqmd.org",
        "licence": "CC-BY-4.0, https://creativecommons.org/licenses/by/4.0/",
    },
    "mp": {
        "name": "Materials Project",
        "link": "https://materialsproject.org",
        "licence": "CC-BY-4.0, https://creativecommons.org/licenses/by/4.0/",
    },
    "cod": {
        "name": "Crystallography Open Database",
        "link": "https://www.crystallography.net/cod/",
        "licence": "public domain (CC0-1.0)",
    },
    "triclinic-minerals": {
        "name": "structures of triclinic minerals from AMCSD, COD and the literature",
        "link": "https://rruff.geo.arizona.edu/AMS/amcsd.php",
        "licence": "as AMCSD and COD; each entry names its paper",
    },
}
"""By the prefix of the identities."""


def described(prefixes: Iterable[str]) -> dict[str, dict[str, str]]:
    """What is known of the databases with these prefixes, and what was changed; others have nothing but that."""
    return {prefix: {**ORIGINS.get(prefix, {}), "changed": CHANGED} for prefix in prefixes}
