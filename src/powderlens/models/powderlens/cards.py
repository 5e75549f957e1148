"""Cards of our own networks. No torch."""

from __future__ import annotations

from powderlens.models.card import Card

CARDS = (
    Card(
        name="prism",
        title="small residual network with batch norm, our first",
        family="powderlens",
        paper="powderlens; no paper",
        source_licence="MIT (powderlens)",
        points=4250,
        min_points=100,
        fixed_points=False,
        preprocessing="sqrt_max1",
        grid="4250 points, 5 to 90 degrees in steps of 0.02, 1.54187 A",
        trained_on="crystals of AMCSD, OQMD and Materials Project under the protocol `lab`, patterns drawn on the fly",
        parameters={"crystal_system": 4_534_471, "space_group": 4_648_870},
        macs_M=30.9,
        notes=(
            "Takes the mask of what was measured as a second channel; built without mask, every point counts as "
            "measured. Shipped as prism-1 with three heads: 4,718,899 parameters.",
            "Its lattice is 8 A times or over at most exp(2.5), and angles of 50 to 130 degrees.",
        ),
        small="channels 16, 24, 32 for 32, 64, 128, shared layer 128 for 512",
        options=("widths", "hidden", "dropout"),
    ),
)
