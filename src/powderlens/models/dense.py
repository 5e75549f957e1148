"""Dense heads, which networks of several families share: (b, features) to (b, outputs) (torch)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn

Head = Callable[..., nn.Module]
"""`head(features, outputs, *, as_published, small)` of a network's file, see `powderlens.models.registry`."""


def dense(
    features: int,
    hidden: Sequence[int],
    outputs: int,
    *,
    activation: Callable[[], nn.Module] = nn.ReLU,
    dropout: float = 0.0,
    softmaxes: int = 0,
) -> nn.Sequential:
    """Dense layers, each hidden one with activation and dropout: (b, features) to (b, outputs).

    Args:
        features: of the body.
        hidden: widths of the hidden layers.
        outputs: width of the last one, which has no activation.
        activation: maker of the activation.
        dropout: rate after each hidden layer; 0 leaves it out.
        softmaxes: how many softmaxes follow the last layer: the fault of SimXRD's networks as published.
    """
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [nn.Linear(features, width), activation()]
        layers += [nn.Dropout(dropout)] if dropout else []
        features = width
    layers += [nn.Linear(features, outputs), *(nn.Softmax(dim=1) for _ in range(softmaxes))]
    return nn.Sequential(*layers)


def dense_head(
    hidden: Sequence[int],
    *,
    small_hidden: Sequence[int] | None = None,
    activation: Callable[[], nn.Module] = nn.ReLU,
    dropout: float = 0.0,
    softmaxes: int = 0,
) -> Head:
    """The `head` of a network's file: dense layers, see `dense`; it gives logits, unless softmaxes follow.

    Args:
        hidden: widths of the hidden layers.
        small_hidden: those of the small size; None takes the same.
        activation: maker of the activation.
        dropout: rate after each hidden layer.
        softmaxes: how many follow the last layer where the network is built as published.
    """

    def head(features: int, outputs: int, *, as_published: bool, small: bool) -> nn.Module:
        widths = small_hidden if small and small_hidden is not None else hidden
        ends = softmaxes if as_published else 0
        return dense(features, widths, outputs, activation=activation, dropout=dropout, softmaxes=ends)

    return head


def linear_head(features: int, outputs: int, *, as_published: bool, small: bool) -> nn.Module:
    """One dense layer: the head of a network whose file has none."""
    return nn.Linear(features, outputs)
