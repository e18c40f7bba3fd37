"""BT² and the methods beside it: what must be zero, equal, orthogonal, untouched."""

from __future__ import annotations

import numpy as np
import pytest

import bequest
from bequest.build.models.embedder import Embedder
from bequest.build.tasks.same_label import SameLabel
from bequest.build.upgrade import Upgrade
from bequest.core.errors import RequestError
from bequest.core.find import find
from bequest.core.pack import Pack
from bequest.lazy import functional, torch
from bequest.methods.compat._upgrading import class_means
from bequest.methods.compat.bt2 import Bt2, Bt2Network
from bequest.transfer.streams import Rows

MLP = {"use": "mlp", "hidden": [12]}
SHAPE = (5,)


def network(extra=2, scale=2.0, width=6, old_width=4, seed=0):
    torch.manual_seed(seed)
    spec = Bt2Network(of=MLP, width=width, old_width=old_width, extra=extra, scale=scale)
    return spec.build(SHAPE, "features", ())


def trained(net, steps=25):
    """The network after some steps towards nonsense."""
    inputs, targets = torch.randn(40, *SHAPE), torch.arange(40) % 3
    old = functional.normalize(torch.randn(40, net.sizes.old_width), dim=1)
    own = functional.normalize(torch.randn(40, net.sizes.width), dim=1)
    means, method = torch.randn(3, net.sizes.old_width), Bt2()
    out = torch.nn.Linear(net.sizes.width, 3, bias=False)
    optimizer = torch.optim.Adam([*net.module.parameters(), *out.parameters()], 1e-2)
    for _ in range(steps):
        parts = net.parts(net.inner.embed(inputs))
        terms = method.terms(parts, old, own)
        terms |= method.terms_of_labels(parts, out(parts.feature), means, targets)
        optimizer.zero_grad()
        sum(weight * value for weight, value in terms.values()).backward()
        optimizer.step()
    return net


@pytest.mark.parametrize("extra", [0, 2, 4])
@pytest.mark.parametrize("steps", [0, 25])
def test_every_vector_has_the_same_length_and_similarities_are_those_of_the_parts(extra, steps):
    net = trained(network(extra, old_width=4), steps)
    inputs = torch.randn(30, *SHAPE)
    with torch.no_grad():
        parts = net.parts(net.inner.embed(inputs))
        h = net.inner.embed(inputs)
        gate = net.layer("gate")
        beside = functional.linear(h.relu(), gate.weight[:extra], gate.bias[:extra])
        beside = functional.normalize(beside, dim=1)
    length = (1 + net.scale**2) ** 0.5 if extra else net.scale
    torch.testing.assert_close(parts.whole.norm(dim=1), torch.full((30,), length))
    own = net.scale**2 * parts.feature @ parts.feature.T
    torch.testing.assert_close(parts.whole @ parts.whole.T, beside @ beside.T + own)
    assert parts.whole.shape == (30, extra + 6)


def test_both_bases_are_orthogonal_after_any_number_of_steps():
    for steps in (1, 10, 40):
        net = trained(network(), steps)
        for name in ("p", "q"):
            matrix = net.layer(name).weight
            torch.testing.assert_close(matrix.T @ matrix, torch.eye(len(matrix)), atol=1e-5, rtol=0)


def test_other_bases_change_old_similarities_and_no_new_one():
    net, other = network(), network(seed=5)
    inputs = torch.randn(20, *SHAPE)
    old = torch.randn(7, 4)
    with torch.no_grad():
        before = net.embed(inputs)
        for name in ("p", "q"):
            net.layer(name).weight = other.layer(name).weight.clone()
        after = net.embed(inputs)
    torch.testing.assert_close(before @ before.T, after @ after.T)
    assert not torch.allclose(before[:, :4] @ old.T, after[:, :4] @ old.T, atol=0.1)


def test_the_own_vector_can_be_had_back():
    net = trained(network())
    with torch.no_grad():
        parts = net.parts(net.inner.embed(torch.randn(20, *SHAPE)))
        _, old_width, extra = net.sizes
        q, p = net.layer("q").weight, net.layer("p").weight
        z = torch.cat([parts.compatible @ q, parts.whole[:, old_width:]], dim=1)  # y = x Wᵀ
        own = z[:, extra:] @ p / net.scale
    torch.testing.assert_close(own, parts.feature, atol=1e-6, rtol=0)


def test_the_scale_decides_between_the_own_vector_and_what_stands_beside():
    inputs = torch.randn(20, *SHAPE)
    for scale, share in ((1e-3, 0.0), (1e3, 1.0)):
        net = network(scale=scale)
        with torch.no_grad():
            parts = net.parts(net.inner.embed(inputs))
        alike = parts.whole @ parts.whole.T / (1 + scale**2)
        own = parts.feature @ parts.feature.T
        assert torch.allclose(alike, own, atol=1e-3) == bool(share)


def test_unused_rows_of_the_gate_and_all_targets_get_no_gradient():
    net = network(extra=2)
    old, own = torch.randn(8, 4, requires_grad=True), torch.randn(8, 6, requires_grad=True)
    parts = net.parts(net.inner.embed(torch.randn(8, *SHAPE)))
    terms = Bt2().terms(parts, old.detach(), own.detach())
    sum(weight * value for weight, value in terms.values()).backward()
    gate = net.layer("gate")
    assert not gate.weight.grad[2:].any()
    assert not gate.bias.grad[2:].any()
    assert gate.weight.grad[:2].any()
    assert old.grad is None


def test_class_means_are_not_made_one_long_and_a_class_without_samples_has_none():
    split = SameLabel(of={"use": "digits"}).load("d").splits["train"]
    rows = Rows(type(split)(split.inputs[:6], np.array([0, 0, 3, 3, 3, 0]), split.ids[:6]))
    vectors = functional.normalize(torch.randn(6, 4), dim=1)
    means = class_means(lambda batch: vectors, rows)
    torch.testing.assert_close(means[3], vectors[2:5].mean(dim=0))
    assert means[3].norm() < 1
    assert not means[1:3].any()


@pytest.mark.parametrize("use", ["bt2", "extra_dimensions", "embedder"])
@pytest.mark.parametrize("encoder", [MLP, {"use": "embedder", "of": MLP, "width": 7}])
def test_a_pack_says_what_the_network_says(use, encoder, tmp_path):
    spec = find("models", use)
    sizes = {"embedder": {"width": 4}, "bt2": {"width": 6, "old_width": 4, "extra": 3}}
    own = sizes.get(use, {"old_width": 4, "extra": 3})
    torch.manual_seed(0)
    net = spec(of=encoder, **own).build(SHAPE, "features", ())
    with torch.no_grad():
        given = net.inner.embed(torch.randn(3000, *SHAPE))
        wanted = net.mapped(given).numpy()
    pack = Pack("basis", net.tensors(), {"old_width": 4, "given": net.width_given()})
    upgrade = Upgrade(pack)
    np.testing.assert_allclose(upgrade.apply(given.numpy()), wanted, atol=2e-6)
    old = wanted[:, :4] / np.linalg.norm(wanted[:, :4], axis=1, keepdims=True)
    np.testing.assert_allclose(upgrade.apply(given.numpy(), compatible=True), old, atol=2e-6)
    np.save(tmp_path / "given.npy", given.numpy())
    upgrade.apply_file(tmp_path / "given.npy", tmp_path / "new.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "new.npy"), upgrade.apply(given.numpy()))


def test_a_pack_that_makes_no_sense_is_refused():
    good = {name: each.numpy() for name, each in network().tensors().items()}
    about = {"old_width": 4, "given": 10}
    for change in (
        {"basis": np.ones((3, 3), np.float32)},
        {"gate": np.ones((2, 9), np.float32)},
        {"stray": np.ones(3, np.float32)},
    ):
        with pytest.raises(RequestError, match="don't fit each other"):
            Upgrade(Pack("basis", good | change, about))
    with pytest.raises(RequestError, match="don't fit"):
        Upgrade(Pack("basis", good, {**about, "old_width": 99}))


@pytest.mark.parametrize(
    ("sizes", "said"),
    [({"extra": 5}, "more than the 4"), ({"width": 1, "extra": 2}, "can't hold")],
)
def test_sizes_that_can_t_be_are_refused(sizes, said):
    with pytest.raises(RequestError, match=said):
        bequest.run(
            {
                "models": {"old": _old(4), "new": _new(**{"width": 4, "old_width": 4} | sizes)},
                "tasks": {"digits": DIGITS},
                "method": {"use": "bt2"},
            }
        )


DIGITS = {"use": "same_label", "of": {"use": "digits"}}


def _old(width):
    return {"use": "embedder", "width": width, "of": MLP}


def _new(**sizes):
    return {"use": "bt2", "of": MLP, **sizes}


def test_an_encoder_keeps_its_vectors_until_the_layer_behind_it_learns():
    net = Embedder(of={"use": "embedder", "of": MLP, "width": 5}, width=5).build(SHAPE, "x", ())
    given = torch.randn(4, 5)
    torch.testing.assert_close(net.mapped(given), functional.normalize(given, dim=1))
