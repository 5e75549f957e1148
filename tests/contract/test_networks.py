"""What every network of the registry must keep, as its inventors meant it and with its published faults."""

from __future__ import annotations

import io
import random
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from powderlens.core.errors import InputError
from powderlens.models.load_torch import read_initialisers
from powderlens.models.network import Network
from powderlens.models.registry import NAMES, Size, build, card, cards, count_parameters
from powderlens.models.task import Task, crystal_system, extinction_class, lattice, space_group
from powderlens.models.to_onnx import to_onnx

Variant = tuple[str, bool]
VARIANTS: list[Variant] = [
    (name, repeat) for name in NAMES for repeat in (False, True) if card(name).faults or not repeat
]
LISTED = space_group(range(2, 147))
"""145 space groups, as many as ML4pXRDs kept."""

TASKS = (crystal_system(), LISTED, extinction_class(), lattice())
BOUNDS = torch.tensor([500.0] * 3 + [180.0] * 3)


def label(variant: Variant) -> str:
    return variant[0] + ("-as-published" if variant[1] else "")


def patterns(count: int, points: int) -> Tensor:
    """(count, points) of sixty lines each, up to a thousand counts, on a background of one."""
    generator = torch.Generator().manual_seed(7)
    place = torch.rand(count, 60, 1, generator=generator) * points
    height = 1000 * torch.rand(count, 60, 1, generator=generator)
    return (height * torch.exp(-0.5 * ((torch.arange(points) - place) * 500 / points) ** 2)).sum(dim=1) + 1.0


def make(variant: Variant, tasks: Sequence[Task], size: Size = "small", seed: int = 1) -> Network:
    name, as_published = variant
    return build(name, tasks, points=card(name).points, as_published=as_published, size=size, seed=seed)


def on_paper(name: str, tasks: Sequence[Task], points: int, as_published: bool = False, size: Size = "full") -> Network:
    """A network without memory for its weights."""
    with torch.device("meta"):
        return build(name, tasks, points=points, as_published=as_published, size=size)


@pytest.fixture(scope="module", params=VARIANTS, ids=label)
def variant(request: pytest.FixtureRequest) -> Variant:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def network(variant: Variant) -> Network:
    """Small, with four heads."""
    return make(variant, TASKS)


@pytest.fixture
def x(variant: Variant) -> Tensor:
    return patterns(4, card(variant[0]).points)


def say(network: Network, x: Tensor) -> dict[str, Tensor]:
    with torch.no_grad():
        return network.eval()(x)  # type: ignore[no-any-return]


def reads_other_patterns(variant: Variant) -> bool:
    """Only as published, and only where the card says so."""
    return variant[1] and any("other patterns of its batch" in fault for fault in card(variant[0]).faults)


def ends_in_softmax(variant: Variant) -> bool:
    return variant[1] and any("softmax" in fault for fault in card(variant[0]).faults)


def without_gradient(variant: Variant) -> tuple[str, ...]:
    """Beginnings of the parameters that get none, by what the card says."""
    stated = card(variant[0]).no_gradient
    if variant[1] and any("backward one has read a single point" in fault for fault in card(variant[0]).faults):
        return (*stated, "body.layers.weight_hh_l3_reverse")  # from one step to the next, of which there is none
    return stated


def test_the_list() -> None:
    simxrd = [f"cnn{i}" for i in range(1, 12)] + ["mlp", "rnn", "lstm", "gru", "birnn", "bilstm", "bigru"]
    simxrd += ["transformer", "itransformer", "patchtst"]
    others = ["park_cnn_small", "park_cnn_medium", "park_cnn_big", "resnet10", "resnet50", "resnet101"]
    assert [*NAMES] == [*simxrd, *others, "alphadiffract", "prism", "lens"]
    assert [one.name for one in cards()] == [*NAMES]


def test_listing_loads_no_torch() -> None:
    code = (
        "import sys; from powderlens.models.registry import cards, check_build\n"
        "from powderlens.models.task import TASKS\n"
        "[make() for make in TASKS.values()]; check_build('cnn1', [TASKS['lattice']()], points=3501);"
        "print(len(cards()), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=1200, check=True)
    assert done.stdout.split() == [str(len(NAMES)), "False"]


@pytest.mark.parametrize("name", NAMES)
def test_the_card(name: str) -> None:
    known = card(name)
    assert import_module(f"powderlens.models.{known.family}.{name}").__doc__
    for text in (known.title, known.paper, known.source_licence, known.grid, known.trained_on):
        assert text.strip() == text != ""
    for line in (*known.faults, *known.notes):
        assert line.endswith(".")
    assert set(known.parameters) == {"crystal_system", "space_group"}
    assert set(known.published_parameters) in (set(), set(known.parameters))
    assert known.faults or not known.published_parameters
    assert known.min_points <= known.points
    assert known.grid.startswith(f"{known.points} points, ")


@pytest.mark.parametrize("task", [crystal_system(), space_group()], ids=lambda task: task.name)
def test_parameters_are_those_of_the_card(variant: Variant, task: Task) -> None:
    name, as_published = variant
    known = card(name)
    stated = known.published_parameters if as_published and known.published_parameters else known.parameters
    assert count_parameters(name, [task], points=known.points, as_published=as_published) == stated[task.name]


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("park_cnn_medium", 4_246_797),
        ("park_cnn_big", 4_959_585),
        ("resnet10", 9_395_025),
        ("resnet50", 41_362_385),
        ("resnet101", 60_354_513),
    ],
)
def test_counts_that_ml4pxrds_prints(name: str, printed: int) -> None:
    assert count_parameters(name, [LISTED], points=8501) == printed


def test_alphadiffract_with_its_three_heads() -> None:
    tasks = [crystal_system(), space_group(), lattice()]
    assert on_paper("alphadiffract", tasks, 8192).features == 560
    assert count_parameters("alphadiffract", tasks, points=8192) == 8_734_989


def test_shapes_at_full_size(variant: Variant) -> None:
    """All tasks at once; networks of many weights without memory for them."""
    known = card(variant[0])
    device = "meta" if known.parameters["space_group"] > 1_000_000 else "cpu"
    with torch.device(device):
        said = say(make(variant, TASKS, size="full"), torch.ones(2, known.points))
    assert {key: answer.shape for key, answer in said.items()} == {task.name: (2, task.outputs) for task in TASKS}


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_one_task_alone(variant: Variant, task: Task, x: Tensor) -> None:
    said = say(make(variant, [task]), x[:2])
    assert {key: answer.shape for key, answer in said.items()} == {task.name: (2, task.outputs)}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", ["full", "small"])
def test_grids(name: str, size: Size) -> None:
    """Lengths from the shortest on are taken, a shorter one is refused."""
    known = card(name)
    for points in (known.min_points, 3501, 8501):
        network = on_paper(name, [crystal_system()], points, size=size)
        if not any(isinstance(part, torch.nn.RNNBase) for part in network.modules()):
            assert network.eval()(torch.ones(2, points, device="meta"))["crystal_system"].shape == (2, 7)
    with pytest.raises(InputError, match=f"{known.min_points - 1} points is too short; it needs at least"):
        on_paper(name, [crystal_system()], known.min_points - 1, size=size)


@pytest.mark.parametrize("name", NAMES)
def test_small_is_small(name: str) -> None:
    """At most 1.5 million parameters; 16 million multiply-adds, twice that where attention's products count too."""
    known = card(name)
    network = on_paper(name, [space_group()], known.points, size="small").eval()
    counted = count_parameters(name, [space_group()], points=known.points, size="small")
    assert counted == sum(parameter.numel() for parameter in network.parameters()) <= 1_500_000
    if not known.small:
        assert counted == known.parameters["space_group"]
    if any(isinstance(part, torch.nn.RNNBase) for part in network.modules()):
        return
    with FlopCounterMode(display=False) as counter:
        network(torch.ones(1, known.points, device="meta"))
    assert counter.get_total_flops() / 2 <= (32e6 if name == "transformer" else 17e6)


def test_every_parameter_gets_a_finite_gradient(network: Network, variant: Variant, x: Tensor) -> None:
    network.train()
    network.zero_grad()
    said = network(x)
    total = sum(functional.cross_entropy(said[task.name], torch.arange(4) % task.outputs) for task in TASKS[:3])
    (total + (said["lattice"] / BOUNDS).square().mean()).backward()
    without = []
    for name, parameter in network.named_parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all(), name
        if parameter.grad is None or float(parameter.grad.abs().max()) == 0:
            without.append(name)
    stated = without_gradient(variant)
    assert [name for name in without if not name.startswith(stated)] == []
    for start in stated:
        assert any(name.startswith(start) for name in without), f"{start}: the card says that it gets none"


def test_patterns_of_a_batch_do_not_see_each_other(network: Network, variant: Variant, x: Tensor) -> None:
    together = say(network, x)
    alone = [say(network, x[i : i + 1]) for i in range(len(x))]
    close = all(
        torch.allclose(together[key][i], alone[i][key][0], rtol=1e-3, atol=1e-5)
        for key in together
        for i in range(len(x))
    )
    assert close != reads_other_patterns(variant)


def test_the_answer_depends_on_the_pattern_and_not_on_its_scale(network: Network, variant: Variant, x: Tensor) -> None:
    before = say(network, x)
    scaled = say(network, 0.03 * x)
    for key in before:
        assert torch.allclose(before[key], scaled[key], rtol=1e-3, atol=1e-4)
    if not reads_other_patterns(variant):
        assert not torch.equal(before["space_group"][0], before["space_group"][1])


def test_an_empty_pattern_is_no_crash(network: Network, x: Tensor) -> None:
    said = say(network, torch.cat([torch.zeros_like(x[:1]), x[:1]]))
    assert all(torch.isfinite(answer).all() for answer in said.values())


def test_classes_come_as_logits_unless_a_softmax_is_the_fault(network: Network, variant: Variant, x: Tensor) -> None:
    said = say(network, x)
    for task in TASKS[:3]:
        sums = said[task.name].sum(dim=1)
        assert torch.allclose(sums, torch.ones(4), atol=1e-4) == ends_in_softmax(variant)


def test_cells_are_cells(network: Network, x: Tensor) -> None:
    cell = say(network, x)["lattice"]
    assert (cell > 0).all()
    assert (cell < BOUNDS).all()


def test_save_and_load(network: Network, variant: Variant, x: Tensor) -> None:
    file = io.BytesIO()
    torch.save(network.state_dict(), file)
    file.seek(0)
    other = make(variant, TASKS, seed=2)
    wanted = say(network, x)
    assert not torch.equal(say(other, x)["space_group"], wanted["space_group"])
    other.load_state_dict(torch.load(file, weights_only=True))
    for key, answer in say(other, x).items():
        assert torch.equal(answer, wanted[key])


def test_onnx_says_the_same(network: Network, x: Tensor) -> None:
    """And its initialisers are the network's own, by name."""
    network.train()
    written = to_onnx(network)
    session = onnxruntime.InferenceSession(written, providers=["CPUExecutionProvider"])
    assert network.training
    state = {name: value for name, value in network.state_dict().items() if not name.endswith("num_batches_tracked")}
    read = read_initialisers(onnx.load_from_string(written), set(state))
    assert read.keys() == state.keys()
    assert all(torch.equal(value, state[name]) for name, value in read.items())
    assert [(one.name, one.shape[1]) for one in session.get_outputs()] == [(task.name, task.outputs) for task in TASKS]
    for batch in (x, x[:1]):
        for told, answer in zip(session.run(None, {"x": batch.numpy()}), say(network, batch).values(), strict=True):
            np.testing.assert_allclose(told, answer.numpy(), rtol=1e-4, atol=1e-4)


ONE_OF_EACH = ("cnn9", "park_cnn_small", "resnet10", "alphadiffract", "prism")
"""Of each scale of the input, resampled or not, of one channel and of two."""


@pytest.mark.parametrize("name", NAMES)
def test_a_mask_is_read(name: str) -> None:
    """It starts as the network without; the mask says what zero means as soon as its weight is not 0."""
    points = max(400, card(name).min_points)
    tasks = [crystal_system(), lattice()]
    plain, masked = (build(name, tasks, points=points, size="small", seed=1, mask=on).eval() for on in (False, True))
    of_both = [sum(parameter.numel() for parameter in network.parameters()) for network in (plain, masked)]
    assert of_both[1] - of_both[0] == (2 if masked.stem else 0)
    x = patterns(2, points)
    assert torch.equal(say(plain, x)["lattice"], say(masked, x)["lattice"])
    mask = torch.ones(2, points, dtype=torch.bool)
    mask[0, points // 2 :] = False
    if masked.stem is not None:
        torch.nn.init.constant_(masked.stem.weight, 0.5)
    with torch.no_grad():
        part = masked(torch.where(mask, x, 1e6), mask)
    whole = say(masked, torch.where(mask, x, 0.0))
    assert not torch.allclose(part["lattice"][0], whole["lattice"][0], rtol=1e-6), "not measured is not zero"
    if name in ONE_OF_EACH:
        with torch.no_grad():
            assert torch.equal(masked(x, mask)["lattice"], part["lattice"]), "what was not measured is not read"
        session = onnxruntime.InferenceSession(to_onnx(masked), providers=["CPUExecutionProvider"])
        told = session.run(["lattice"], {"x": x.numpy(), "mask": mask.float().numpy()})[0]
        np.testing.assert_allclose(told, part["lattice"].numpy(), rtol=1e-4, atol=1e-4)
    with pytest.raises(InputError, match=f"{name}: 1 of 2 patterns are measured on a part of the grid only"):
        plain(x, mask)
    with pytest.raises(InputError, match="a mask of shape"):
        masked(x, mask[:, 1:])


RATES = dict.fromkeys(NAMES, 1e-3) | dict.fromkeys(("cnn7", "rnn", "bilstm", "bigru", "alphadiffract"), 3e-3)
RATES |= {"lstm": 5e-3, "gru": 1e-2}
"""Adam's learning rates that learn 32 patterns within `STEPS`."""

STEPS = 1000


DRAWN = random.Random(1).sample(NAMES, 2)
"""These learn in every run; the others with `make test-long`, see docs/notes/proofs.md."""


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in DRAWN else pytest.mark.long) for n in NAMES])
def test_it_learns_32_patterns_by_heart(name: str) -> None:
    """On a short grid, so that recurrent networks take few steps."""
    points = max(700, 3 * card(name).min_points)
    x, y = patterns(32, points), torch.arange(32) * 4
    network = build(name, [LISTED], points=points, size="small", seed=1)
    optimiser = torch.optim.Adam(network.parameters(), lr=RATES[name])
    for step in range(1, STEPS + 1):
        network.train()
        optimiser.zero_grad()
        functional.cross_entropy(network(x)["space_group"], y).backward()
        optimiser.step()
        if step % 10 == 0:
            logits = say(network, x)["space_group"]
            loss, right = float(functional.cross_entropy(logits, y)), int((logits.argmax(dim=1) == y).sum())
            if loss < 0.1 and right == 32:
                return
    pytest.fail(f"after {STEPS} steps the loss is {loss:.3f} and {right} of 32 are right")
