"""`prism` of the registry is the network that ships, when every point was measured."""

from __future__ import annotations

import torch

from powderlens.models.prism import Prism
from powderlens.models.registry import build
from powderlens.models.task import crystal_system, lattice, space_group


def test_same_weights_same_answers() -> None:
    torch.manual_seed(0)
    shipped = Prism().eval()
    network = build("prism", [crystal_system(), space_group(), lattice()], points=4250).eval()
    network.body.trunk.load_state_dict(shipped.trunk.state_dict())  # type: ignore[union-attr, operator]
    network.body.shared.load_state_dict(shipped.shared.state_dict())  # type: ignore[union-attr, operator]
    for name, head in (
        ("crystal_system", shipped.system),
        ("space_group", shipped.group),
        ("lattice", shipped.lattice),
    ):
        network.heads[name].load_state_dict(head.state_dict())
    x = torch.rand(3, 4250)
    with torch.no_grad():
        wanted = shipped(torch.stack([(x / x.amax(dim=1, keepdim=True)).sqrt(), torch.ones_like(x)], dim=1))
        for said, other in zip(network(x).values(), wanted, strict=True):
            assert torch.allclose(said, other, rtol=1e-5, atol=1e-5)
    assert sum(p.numel() for p in network.parameters()) == 4_718_899
