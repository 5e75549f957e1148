"""Cards of the 21 networks of the SimXRD benchmark. No torch.

Layers after the benchmark's public code (XRDBench, MIT); each card also names the work that the network stands for.
"""

from __future__ import annotations

from powderlens.models.card import Card

BENCHMARK = "SimXRD-4M: big simulated X-ray diffraction data and crystal symmetry classification benchmark (ICLR 2025)"
GRID = "3501 points, low angle first: d from 8.84 to 1.20 A, which is 10 to 80 degrees in steps of 0.02 at 1.54184 A"
TRAINED_ON = "SimXRD-4M: 119,569 crystals of the Materials Project in 30 simulated conditions, one network a task"
MIN_POINTS = 100

SOFTMAX = (
    "Ends in a softmax although the loss expects logits: the loss cannot fall below 1.17 with 7 classes and 4.45 "
    "with 230, and gradients are tiny."
)
TWO_SOFTMAXES = (
    "Ends in two softmaxes although the loss expects logits: the loss cannot fall below 1.78 with 7 classes and "
    "5.43 with 230, where chance is 1.95 and 5.44."
)
LAST_STEP = (
    "Takes both directions of the top layer at the last step, where the backward one has read a single point and its "
    "recurrent weights (weight_hh_l3_reverse) get no gradient. As meant: the backward one at the first step."
)
POOL = (
    "The second pool, two points wide, moves by three and so skips every third point, and LeakyReLU is applied "
    "again after the last pool: kept, because it is not known which public version is Lee's own (unverified)."
)
RECURRENT_SMALL = "20 neighbouring points a step (175 steps of 3501 points) and hidden 32 for 64"


def _card(
    name: str,
    title: str,
    paper: str,
    counts: tuple[int, int],
    macs_M: float,
    *,
    published_counts: tuple[int, int] | None = None,
    fixed: bool = False,
    faults: tuple[str, ...] = (),
    notes: tuple[str, ...] = (),
    small: str = "",
    no_gradient: tuple[str, ...] = (),
) -> Card:
    published = published_counts or ()
    return Card(
        name=name,
        title=title,
        family="simxrd",
        paper=f"{paper}; in the version of {BENCHMARK}",
        source_licence="MIT (XRDBench)",
        points=3501,
        min_points=MIN_POINTS,
        fixed_points=fixed,
        preprocessing="max100",
        grid=GRID,
        trained_on=TRAINED_ON,
        parameters={"crystal_system": counts[0], "space_group": counts[1]},
        published_parameters=dict(zip(("crystal_system", "space_group"), published, strict=False)),
        macs_M=macs_M,
        faults=faults,
        notes=notes,
        small=small,
        no_gradient=no_gradient,
    )


LEE_2020 = (
    "J.-W. Lee et al., A deep-learning technique for phase identification in multiphase inorganic compounds using "
    "synthetic XRD powder patterns, Nature Communications 11 (2020) 86, doi:10.1038/s41467-019-13749-3"
)
LE_2023 = (
    "N. Q. Le et al., Deep learning models to identify common phases across material systems from X-ray "
    "diffraction, Journal of Physical Chemistry C 127 (2023) 21758"
)
BOTH_WAYS = (
    "M. Schuster, K. K. Paliwal, Bidirectional recurrent neural networks, IEEE Transactions on Signal Processing 45 "
    "(1997) 2673, doi:10.1109/78.650093"
)

CONVOLUTIONAL = (
    _card(
        "cnn1",
        "Park 2017, three convolutions and average pools, at 10001 points",
        "W. B. Park et al., Classification of crystal structure using a convolutional neural network, IUCrJ 4 "
        "(2017) 486, doi:10.1107/S205225251700714X",
        (5_914_507, 21_065_420),
        116.3,
        faults=(SOFTMAX,),
        notes=(
            "The second and third pool move by one point; two other public versions of Park's network move by three "
            "(see park_cnn_small, park_cnn_medium, park_cnn_big). Which padding is Park's own is unverified.",
            "Hidden layers of 2300 and 1150 for many classes, 700 and 70 for few.",
        ),
        small="24 channels for 80, hidden 460 and 230 for 2300 and 1150, 300 and 70 for 700 and 70",
    ),
    _card(
        "cnn2",
        "Lee 2020, two convolutions and max pools, at 4501 points",
        LEE_2020,
        (17_239_735, 17_351_458),
        62.9,
        faults=(SOFTMAX,),
        notes=(POOL,),
        small="32 channels for 64, hidden 300 and 150 for 2000 and 500",
    ),
    _card(
        "cnn3",
        "Lee 2020, three convolutions and max pools, at 4501 points",
        LEE_2020,
        (22_774_379, 22_997_602),
        131.1,
        faults=(SOFTMAX,),
        notes=(POOL,),
        small="20 channels for 64, hidden 400 and 200 for 2500 and 1000",
    ),
    _card(
        "cnn4",
        "Wang 2020 (metal-organic frameworks), seven convolutions, at 2251 points",
        "H. Wang et al., Rapid identification of X-ray diffraction patterns based on very limited data by "
        "interpretable convolutional neural networks, Journal of Chemical Information and Modeling 60 (2020) 2004, "
        "doi:10.1021/acs.jcim.0c00020",
        (1_072_739, 1_091_694),
        15.5,
        faults=(TWO_SOFTMAXES,),
    ),
    _card(
        "cnn5",
        "Maffettone 2021 (XCA), an ensemble of ten networks of three convolutions",
        "P. M. Maffettone et al., Crystallography companion agent for high-throughput materials discovery, Nature "
        "Computational Science 1 (2021) 290, doi:10.1038/s43588-021-00059-2",
        (127_270, 4_009_700),
        0.8,
        published_counts=(12_727, 400_970),
        fixed=True,
        faults=(
            SOFTMAX,
            "One network where its inventors take ten, average their probabilities and train on the average; their "
            "convolutions start from a normal distribution of width 0.02, here from torch's default.",
        ),
        notes=(
            "As meant the answer is the logarithm of the averaged probabilities, and the ten cost 8.2 million "
            "multiply-adds. Cells are averaged before the bounds.",
        ),
        small="as meant three members for ten; as published the same",
    ),
    _card(
        "cnn6",
        "Dong 2021 (PQ-Net) cut down to a classifier, seven convolutions",
        "H. Dong et al., A deep convolutional neural network for real-time full profile analysis of big powder "
        "diffraction data, npj Computational Materials 7 (2021) 74, doi:10.1038/s41524-021-00542-4",
        (4_584_467, 4_640_440),
        4600.5,
        fixed=True,
        faults=(SOFTMAX,),
        notes=(
            "PQ-Net itself is a regression network with a block per phase; this is SimXRD's classifier after it "
            "(layer-by-layer fidelity unverified). 87 % of its cost lies in two layers of 128 channels at full "
            "length.",
        ),
        small="resampled to a third of the points (1167), 8 and 24 channels for 128 and 64",
    ),
    _card(
        "cnn7",
        "Szymanski 2021 (AutoAnalyzer), six convolutions, dropout at prediction, at 4501 points",
        "N. J. Szymanski et al., Probabilistic deep learning approach to automate the interpretation of multi-phase "
        "diffraction spectra, Chemistry of Materials 33 (2021) 4204, doi:10.1021/acs.chemmater.1c01071",
        (18_239_931, 18_507_754),
        477.2,
        published_counts=(5_877_031, 6_144_854),
        faults=(
            SOFTMAX,
            "One hidden dense layer (1200) where its inventors have two (3100 and 1200), and no dropout before it.",
        ),
        notes=(
            "Its inventors leave dropout on at prediction and take the mean of 100 passes: "
            "`Network.mean_of_passes`. `forward` is one pass without dropout. As meant 489.5 million multiply-adds.",
        ),
        small="resampled to 2251 points, 14 channels for 64, hidden 800 and 400 for 3100 and 1200 (as published 400)",
    ),
    _card(
        "cnn8",
        "Lee 2022, fully convolutional, fourteen convolutions, at 8192 points",
        "B. D. Lee et al., Powder X-ray diffraction pattern is all you need for machine-learning-based symmetry "
        "identification and property prediction, Advanced Intelligent Systems 4 (2022) 2200042, "
        "doi:10.1002/aisy.202200042",
        (1_672_983, 2_026_742),
        35.8,
        faults=(SOFTMAX,),
        notes=(
            "No activation after the thirteenth convolution, as in SimXRD's code (whether Lee has one is unverified).",
            "For few classes 64 middle channels and dropout 0.2 and 0.4, for many 256 and 0.05. The twelve shared "
            "stages take the rate of the head with the most classes.",
        ),
        small="half the channels in the first twelve convolutions",
    ),
    _card(
        "cnn9",
        "Le 2023 tuned on the Materials Project, three convolutions",
        LE_2023,
        (23_144_423, 23_590_646),
        45.4,
        fixed=True,
        small="12 channels for 27, hidden 250 for 2000",
    ),
    _card(
        "cnn10",
        "Le 2023 tuned on the ICSD, four convolutions",
        LE_2023,
        (10_021_127, 10_467_350),
        32.2,
        fixed=True,
        small="16 channels for 24, hidden 350 for 2000",
    ),
    _card(
        "cnn11",
        "Salgado 2023, three strided convolutions without pooling, at 8500 points",
        "J. E. Salgado et al., Automated classification of big X-ray diffraction data using deep learning models, "
        "npj Computational Materials 9 (2023) 214, doi:10.1038/s41524-023-01164-8",
        (31_112_747, 31_369_420),
        173.3,
        notes=(
            "The layers of the authors' own public code; there the input is a true pattern of 8500 points, 5 to 90 "
            "degrees, with maximum 1.",
        ),
        small="20 channels for 80, hidden 400 and 200 for 2300 and 1150",
    ),
    _card(
        "mlp",
        "SimXRD's baseline, four dense layers",
        "none, a baseline",
        (98_049_007, 98_829_730),
        98.8,
        fixed=True,
        faults=(TWO_SOFTMAXES,),
        small="hidden 300, 300 and 150 for 7000, 7000 and 3500",
    ),
)

RECURRENT = (
    _card(
        "rnn",
        "Four plain recurrent layers (tanh), one point a step",
        "L. Medsker, L. C. Jain, Recurrent neural networks: design and applications (1999)",
        (29_703, 44_198),
        100.6,
        small=RECURRENT_SMALL,
    ),
    _card(
        "lstm",
        "Four LSTM layers, one point a step",
        "S. Hochreiter, J. Schmidhuber, Long short-term memory, Neural Computation 9 (1997) 1735, "
        "doi:10.1162/neco.1997.9.8.1735",
        (117_447, 131_942),
        402.4,
        small=RECURRENT_SMALL,
    ),
    _card(
        "gru",
        "Four GRU layers, one point a step",
        "J. Chung et al., Empirical evaluation of gated recurrent neural networks on sequence modeling (2014), "
        "arXiv:1412.3555",
        (88_199, 102_694),
        301.8,
        small=RECURRENT_SMALL,
    ),
    _card(
        "birnn",
        "Four plain recurrent layers (tanh) in both directions, one point a step",
        BOTH_WAYS,
        (83_975, 112_742),
        287.3,
        faults=(LAST_STEP,),
        small=RECURRENT_SMALL,
    ),
    _card(
        "bilstm",
        "Four LSTM layers in both directions, one point a step",
        BOTH_WAYS,
        (333_191, 361_958),
        1149.0,
        faults=(LAST_STEP,),
        small=RECURRENT_SMALL,
    ),
    _card(
        "bigru",
        "Four GRU layers in both directions, one point a step",
        BOTH_WAYS,
        (250_119, 278_886),
        861.8,
        faults=(LAST_STEP,),
        small=RECURRENT_SMALL,
    ),
)

TRANSFORMERS = (
    _card(
        "transformer",
        "Vaswani 2017, two encoder layers, one point a token",
        "A. Vaswani et al., Attention is all you need (2017), arXiv:1706.03762",
        (275_303, 282_662),
        946.6,
        faults=(
            "Attends over the patterns of the batch, separately at each point, without positions: an answer depends "
            "on one single intensity of the pattern, and on the other patterns of its batch. As meant: over the "
            "points, with sinusoidal positions.",
        ),
        notes=("As meant, attention is quadratic in the points; its products are not in the multiply-adds.",),
        small="20 points a token (175 tokens of 3501 points) and feed-forward 256 for 2048; as published every "
        "twentieth point, the last one, which alone decides, among them",
    ),
    _card(
        "itransformer",
        "Liu 2023, the whole pattern as one token, at 8192 points",
        "Y. Liu et al., iTransformer: inverted transformers are effective for time series forecasting (2023), "
        "arXiv:2310.06625",
        (1_216_135, 1_244_902),
        1.2,
        notes=(
            "Made for series of many channels; a pattern has one, so there is one token, attention has nothing to "
            "choose from, and queries and keys (66,048 parameters) get no gradient. The original's normalisation of "
            "each series is absent.",
        ),
        no_gradient=tuple(f"body.encoder.{i}.attention.{part}." for i in range(2) for part in ("query", "key")),
    ),
    _card(
        "patchtst",
        "Nie 2023, 129 patches of 64 points, at 8192 points",
        "Y. Nie et al., A time series is worth 64 words: long-term forecasting with transformers, ICLR 2023, "
        "arXiv:2211.14730",
        (290_311, 3_972_710),
        26.0,
        notes=(
            "Layer norm for batch norm and patches of 64 without overlap for 16 every 8, as in SimXRD's code. It "
            "brings each pattern to mean 0 and deviation 1 itself. The last patch only repeats the last point.",
        ),
        small="width 48 for 128, feed-forward 24 for 64",
    ),
)

CARDS = (*CONVOLUTIONAL, *RECURRENT, *TRANSFORMERS)
