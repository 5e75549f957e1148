"""Card of AlphaDiffract's network. No torch."""

from __future__ import annotations

from powderlens.models.card import Card

CARDS = (
    Card(
        name="alphadiffract",
        title="ConvNeXt in one dimension, three blocks, dense heads",
        family="alphadiffract",
        paper="AlphaDiffract: Automated Crystallographic Analysis of Powder X-ray Diffraction Data (2026), "
        "arXiv:2603.23367, section 5.3",
        source_licence="not known; layers after the text of the paper and a copy of the released model file",
        points=8192,
        min_points=1555,
        fixed_points=False,
        preprocessing="min0_max100",
        grid="8192 points, 5 to 20 degrees, equally spaced, 0.61992 A (20 keV)",
        trained_on="312,267 structures of ICSD and Materials Project, 100 patterns each, noise added on the fly",
        parameters={"crystal_system": 4_113_707, "space_group": 4_370_380},
        macs_M=539,
        notes=(
            "Published with three heads (crystal system, space group, lattice): 8,734,989 parameters, 98 % of them in "
            "the heads. The published predictions are means over ten such networks.",
            "No norm in the blocks, as in the released code; ConvNeXt proper has one.",
            "Unverified: whether the released network scales the channels of a block (240 parameters; not here), and "
            "its dropout (0.2 here, the default of its code).",
        ),
        small="24 channels for 80, kernels 50, 25, 13, patterns averaged over 4 points, first pool 3 for 5, dense "
        "layers of 512 and 256 (lattice 256 and 128)",
    ),
)
