"""Cards of the networks of ML4pXRDs. No torch.

Layers after supplement S2 and Table 1 of the paper and its public code; the five counts that the paper prints, with 145
space groups on 8,501 points, are met to the digit.
"""

from __future__ import annotations

from powderlens.models.card import Card

PAPER = (
    "H. Schopmans, P. Reiser, P. Friederich, Neural networks trained on synthetically generated crystals can extract "
    "structural information from ICSD powder X-ray diffractograms, Digital Discovery 2 (2023) 1414, "
    "doi:10.1039/D3DD00071K"
)
PARK = (
    "W. B. Park et al., Classification of crystal structure using a convolutional neural network, IUCrJ 4 (2017) 486, "
    "doi:10.1107/S205225251700714X; in the version of " + PAPER
)
RESNET = (
    "K. He et al., Deep residual learning for image recognition (2015), arXiv:1512.03385; in one dimension: " + PAPER
)
GRID = "8501 points, 5 to 90 degrees in steps of 0.01, 1.5406 A"
TRAINED_ON = "synthetic crystals drawn by Wyckoff statistics of the ICSD, 145 space groups, each pattern used once"
NO_DROPOUT = "Without dropout, as for synthetic crystals; for ICSD patterns the authors switch on 0.3 and 0.5."
RANK = (
    "No activation between the two dense layers, as in the public code; the paper does not say. Flattened, not pooled: "
    "the head holds much of the weights and grows with the grid."
)


def _park(version: str, labels: int, counts: tuple[int, int], macs_M: float, note: str = "") -> Card:
    return Card(
        name=f"park_cnn_{version}",
        title=f"Park 2017, three convolutions, dense layers of the {labels}-label version",
        family="ml4pxrds",
        paper=PARK,
        source_licence="MIT (ML4pXRDs)",
        points=8501,
        min_points=711,
        fixed_points=False,
        preprocessing="max1",
        grid=GRID,
        trained_on=TRAINED_ON,
        parameters={"crystal_system": counts[0], "space_group": counts[1]},
        macs_M=macs_M,
        notes=(NO_DROPOUT, *([note] if note else [])),
        small="24 channels for 80, hidden dense layers of at most 256",
    )


def _resnet(depth: int, counts: tuple[int, int], macs_M: float, average: int) -> Card:
    averaged = f", patterns averaged over {average} points" if average > 1 else ""
    return Card(
        name=f"resnet{depth}",
        title=f"ResNet-{depth} in one dimension, kernels of 9, group norm",
        family="ml4pxrds",
        paper=RESNET,
        source_licence="MIT (ML4pXRDs); Apache-2.0 (TensorFlow model garden, from which it derives)",
        points=8501,
        min_points=256,
        fixed_points=False,
        preprocessing="sqrt_max1",
        grid=GRID,
        trained_on=TRAINED_ON,
        parameters={"crystal_system": counts[0], "space_group": counts[1]},
        macs_M=macs_M,
        notes=(RANK,),
        small=f"8 channels for 64 in the first group, norms of 4 groups for 32, dense layer 64 for 256{averaged}",
    )


CARDS = (
    _park("small", 7, (1_042_507, 1_058_340), 73.1, "Not used in the paper."),
    _park("medium", 101, (4_218_783, 4_264_052), 76.3),
    _park("big", 230, (4_800_747, 5_057_420), 77.1),
    _resnet(10, (9_359_559, 9_416_870), 541, 1),
    _resnet(50, (41_326_919, 41_384_230), 2723, 3),
    _resnet(101, (60_319_047, 60_376_358), 5242, 5),
)
