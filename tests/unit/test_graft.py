"""What packs and merges must do to live models."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from language_models import language_model
from workbench import same, weights

from bequest.build.models.hf import Hf
from bequest.build.models.lora import Lora
from bequest.build.models.mlp import Mlp
from bequest.core.errors import RequestError
from bequest.core.live import Texts
from bequest.methods.graft._calibration import calibrate
from bequest.methods.graft._compression import share_of
from bequest.methods.graft._parts import linear_layers, parts_of, within
from bequest.methods.graft.graftllm import Graftllm
from bequest.methods.graft.magnitude import Magnitude
from bequest.ops import deltas, forms
from bequest.ops.factors import Group, factored, quantised
from bequest.ops.gptq import Rounding, gptq
from bequest.store.packs import read_pack, size_of, write_pack
from bequest.transfer.lining_up import line_up
from bequest.transfer.randomness import seeded
from bequest.transfer.weights import add, changes, fingerprint_of, graft, grafted, weights_of


def network(seed=0, like=None, by=0.02):
    """A perceptron; or one that differs a little from `like`."""
    with seeded(seed):
        model = Mlp(hidden=(24, 24)).build((16,), "features", ("a", "b", "c"))
        if like is not None:
            model.module.load_state_dict(like.module.state_dict())
            for weight in model.module.parameters():
                weight.data += by * torch.randn(weight.shape)
    return model


INPUTS = torch.randn(200, 16, generator=torch.Generator().manual_seed(5))


@pytest.fixture
def base():
    return network()


def compressed(method, base, donor):
    import copy

    return method.compressed(copy.deepcopy(base), donor, [INPUTS])


def test_full_rank_and_no_rounding_give_the_tuned_model(base):
    donor = network(1, base)
    exact = Graftllm(budget=None, alpha=1, beta=1, bits=((32, 1.0),))
    graft(base.module, compressed(exact, base, donor))
    for name, found in weights(base).items():
        assert (found - weights(donor)[name]).abs().max() < 1e-5


def test_no_directions_leave_a_matrix_alone(base):
    none = Graftllm(budget=None, rank_mlp=0)
    pack = compressed(none, base, network(1, base))
    before = weights(base)
    graft(base.module, pack)
    assert torch.equal(weights(base)["3.weight"], before["3.weight"])


def test_unloading_restores_the_base_and_packs_keep_apart(base):
    one, other = (compressed(Graftllm(), base, network(seed, base)) for seed in (1, 2))
    before = weights(base)
    with grafted(base.module, other):
        alone = base.logits(INPUTS)
    with grafted(base.module, one):
        assert not same(weights(base), before)
    assert same(weights(base), before)
    with grafted(base.module, other):
        assert torch.equal(base.logits(INPUTS), alone)
    assert same(weights(base), before)


def test_a_pack_of_another_base_is_refused(base):
    pack = compressed(Graftllm(), base, network(1, base))
    other = network(7)
    before = weights(other)
    with pytest.raises(RequestError, match="belongs to the base"):
        graft(other.module, pack)
    assert same(weights(other), before)


def test_pruning_keeps_so_many_entries_exactly(base):
    donor = network(1, base)
    pack = compressed(Graftllm(budget=None, alpha=0.3), base, donor)
    lined = line_up(base, [donor])
    delta = changes(lined.base, lined.others[0])["1.weight"]
    change = forms.opened(pack.about["parts"]["1.weight"], pack.tensors["1.weight"])
    found = np.zeros(delta.size, np.float32)
    change.add(0, found)
    kept = found != 0
    assert kept.sum() == math.ceil(0.3 * delta.size)
    assert np.array_equal(found[kept], delta.reshape(-1)[kept])
    assert np.abs(delta.reshape(-1)[~kept]).max() <= np.abs(found[kept]).min()


@pytest.mark.parametrize("method", [Graftllm(), Magnitude(budget=0.2)])
def test_the_reported_size_is_the_files(base, tmp_path, method):
    donor = network(1, base)
    pack = (compressed(method, base, donor) if isinstance(method, Graftllm)
            else method.compressed(base, donor))  # fmt: skip
    write_pack(tmp_path / "pack.safetensors", pack)
    size = (tmp_path / "pack.safetensors").stat().st_size
    assert size_of(pack) == size
    assert size_of(read_pack(tmp_path / "pack.safetensors")) == size
    numbers = sum(weight.numel() for weight in donor.module.parameters())
    assert share_of(pack) == size / (2 * numbers)


def test_embeddings_are_pruned_tied_or_not_and_so_are_convolutions():
    from transformers import LlamaConfig, LlamaForCausalLM

    for tied in (True, False):
        net = LlamaForCausalLM(LlamaConfig(
            vocab_size=24, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
            num_attention_heads=2, tie_word_embeddings=tied,
        ))  # fmt: skip
        parts = parts_of(net)
        pruned = {name for name, _ in net.named_parameters() if parts.get(name) == "prune"}
        assert pruned == {"model.embed_tokens.weight"} | (set() if tied else {"lm_head.weight"})
    conv = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.Flatten(), torch.nn.Linear(8, 8),
                               torch.nn.Linear(8, 2))  # fmt: skip
    assert parts_of(conv) == {"0.weight": "prune", "2.weight": "mlp", "3.weight": "prune"}


@pytest.mark.parametrize("budget", [0.05, 0.1, 0.3])
def test_a_budget_is_kept_by_models_of_some_size(budget):
    shapes = {"a.weight": (600, 576), "b.weight": (576, 576), "c.bias": (576,)}
    plan = within(budget, shapes, {"a.weight": "prune", "b.weight": "mlp"},
                  ((8, 0.02), (4, 0.18), (2, 0.8)), 128)  # fmt: skip
    delta = np.random.default_rng(0).standard_normal((600, 576)).astype(np.float32)
    from bequest.methods.graft._compression import largest
    from bequest.ops.directions import directions_size

    kept = forms.sparse(delta, largest(delta, plan.entries["a.weight"])).data.nbytes
    kept += directions_size((576, 576), plan.groups["b.weight"](range(576)), 128) + 4 * 576
    full = 2 * sum(math.prod(shape) for shape in shapes.values())
    assert 0.95 * budget < kept / full <= budget


def test_rounding_after_inputs_beats_rounding_to_the_nearest():
    better = []
    for seed in range(6):
        draw = np.random.default_rng(seed)
        delta = draw.standard_normal((24, 32)).astype(np.float32)
        inputs = draw.standard_normal((400, 32)) @ draw.standard_normal((32, 32))
        how, groups, factors = Rounding(groupsize=16), [Group(2, 24)], factored(delta)
        errors = []
        for moments in (inputs.T @ inputs, np.eye(32)):
            change = sum(part.change() for part in quantised(factors, groups, moments, how))
            errors.append(np.linalg.norm((change - delta) @ inputs.T))
        better.append(errors[0] / errors[1])
    assert np.mean(better) < 0.95


def test_u_is_rounded_against_what_v_became():
    delta = np.random.default_rng(0).standard_normal((24, 32)).astype(np.float32)
    factors, moments = factored(delta), np.eye(32)
    (part,) = quantised(factors, [Group(2, 24)], moments, Rounding())
    plain = np.diag(factors.sigma) @ factors.v.T
    other = gptq(factors.u, plain @ plain.T, np.full(24, 3), Rounding())
    assert not np.array_equal(other.codes, part.u.codes)


def test_inputs_that_are_not_finite_are_no_moments():
    moments = np.eye(4)
    moments[1, 2] = moments[2, 1] = np.nan
    with pytest.raises(np.linalg.LinAlgError, match="not finite"):
        gptq(np.ones((2, 4)), moments, np.full(2, 15), Rounding())


def test_a_group_without_directions_changes_nothing():
    rng = np.random.default_rng(0)
    factors = factored(rng.standard_normal((6, 5)).astype(np.float32))
    groups = [Group(4, 0), Group(8, 2), Group(2, 0)]
    none, some, nothing = quantised(factors, groups, np.eye(5), Rounding())
    assert not none.change().any() and not nothing.change().any()
    [alone] = quantised(factors, groups[1:2], np.eye(5), Rounding())
    np.testing.assert_array_equal(some.change(), alone.change())


def test_dead_inputs_take_no_weight():
    moments = np.eye(8)
    moments[3, 3] = 0
    found = gptq(np.ones((2, 8)), moments, np.full(2, 15), Rounding()).values()
    assert not found[:, 3].any()
    assert np.allclose(np.delete(found, 3, axis=1), 1, atol=0.1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("model")
    language_model(place, layers=2, width=16)
    return place


SAID = Texts(("the cat sat", "a dog ran on the mat", "cats sit"))


def test_layers_of_a_transformer_are_seen_in_their_order(folder):
    model = Hf(path=str(folder)).build((), "text", ())
    parts = parts_of(model.module)
    inside = {path: each for path, each in linear_layers(model.module).items()
              if parts[f"{path}.weight"] != "prune"}  # fmt: skip
    seen, moments = [], {}

    def note(paths, found, turn):
        seen.append([path.rpartition(".")[2] for path in paths])
        moments[paths[0]] = found.mean

    calibrate(model, [SAID], inside, note)
    one = [["q_proj", "k_proj", "v_proj"], ["o_proj"], ["gate_proj", "up_proj"], ["down_proj"]]
    assert seen == one * 2
    # The same as when the whole model is asked and one layer is watched.
    path = "model.layers.1.mlp.gate_proj"
    rows = []
    hook = inside[path].register_forward_pre_hook(lambda _, given: rows.append(given[0]))
    encoded = model.encoded(SAID)
    with torch.no_grad():
        model.states(encoded)
    hook.remove()
    own = rows[0][encoded.mask.bool()].double()
    assert np.allclose(moments[path], 2 / 3 * (own.T @ own).numpy(), rtol=1e-3)


def test_as_released_goes_through_a_block_once_for_each_group(folder):
    model = Hf(path=str(folder)).build((), "text", ())
    import copy

    donor = copy.deepcopy(model)
    with seeded(3):
        for weight in donor.module.parameters():
            weight.data += 0.05 * torch.randn(weight.shape)
    packs = [
        Graftllm(budget=None, beta=1, as_released=flag).compressed(
            copy.deepcopy(model), donor, [SAID]
        )
        for flag in (False, True)
    ]
    assert packs[0].tensors.keys() == packs[1].tensors.keys()
    name = "model.layers.0.mlp.up_proj.weight"
    assert packs[0].about["parts"][name] == packs[1].about["parts"][name]
    assert not np.array_equal(packs[0].tensors[name], packs[1].tensors[name])


def test_adapters_count_as_what_they_add(folder):
    plain = Hf(path=str(folder)).build((), "text", ())
    with seeded(0):
        spec = Lora(of={"use": "hf", "path": str(folder)})
        student, donor = (spec.build((), "text", ()) for _ in range(2))
    assert fingerprint_of(student.module) == fingerprint_of(plain.module)
    for name, weight in donor.module.named_parameters():
        if "lora_B" in name:
            weight.data += 0.1
    lined = line_up(student, [donor])
    found = changes(lined.base, lined.others[0])
    assert found
    assert not any("lora" in name or "base_layer" in name for name in found)
    pack = Graftllm(budget=None, beta=1, bits=((32, 1.0),)).compressed(student, donor, [SAID])
    add(plain.module, pack)  # made with adapters, put on a model without
    own = weights_of(donor.module)
    for name, weight in weights_of(plain.module).items():
        assert np.allclose(weight.floats(), own[name].floats(), atol=1e-5), name


def one(values=(0.5, -2.0, 0.0, 2.0)):
    return np.array(values, np.float32)


def test_one_model_comes_back_from_every_merge():
    base, model = one((1, 2, 3, 4)), one((2, 0, 3, 5))
    delta = model - base
    assert np.array_equal(deltas.task_arithmetic(base, [delta], [1.0]), model)
    assert np.array_equal(base + deltas.ties([deltas.trimmed(delta, 1.0)], [1.0]), model)
    assert np.array_equal(deltas.dropped(delta, np.ones(4, bool), 1.0), delta)
    assert np.array_equal(deltas.linear([model], [1.0]), model)
    assert np.array_equal(deltas.task_arithmetic(base, [delta], [1.0], 0.0), base)


def test_identical_and_opposite_models():
    delta = one()
    assert np.allclose(deltas.ties([delta] * 3, [1.0] * 3), delta)
    assert np.allclose(deltas.task_arithmetic(one() * 0, [delta] * 3, [1.0] * 3), 3 * delta)
    assert not deltas.task_arithmetic(one() * 0, [delta, -delta], [1.0, 1.0]).any()
    assert np.array_equal(deltas.ties([delta, -delta], [1.0, 1.0]), np.abs(delta))


def test_trimming_keeps_so_many_entries_even_with_ties():
    delta = np.array([1, -1, 1, -1, 1, 0.5, 2], np.float32)
    for count in range(1, 8):
        kept = deltas.Trim(deltas.cut(lambda: [delta], count)).keep(delta)
        assert kept.sum() == count
    assert np.flatnonzero(deltas.trimmed(delta, 3 / 7)).tolist() == [0, 1, 6]
    with pytest.raises(ValueError, match="keeps none"):
        deltas.trimmed(delta, 0.1)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_trimming_does_not_depend_on_how_a_tensor_lies_in_memory(kind):
    delta = np.random.default_rng(0).integers(-3, 4, size=(6, 5)).astype(kind)
    wanted = deltas.trimmed(delta, 0.5)
    np.testing.assert_array_equal(deltas.trimmed(np.asfortranarray(delta), 0.5), wanted)
    np.testing.assert_array_equal(deltas.trimmed(np.array(-2, kind), 1.0), -2)
    assert deltas.trimmed(np.zeros((0, 3), kind), 0.5).shape == (0, 3)


def test_trimming_keeps_so_many_entries_that_float32_cannot_tell_apart():
    delta = np.array([1, 1 + 1e-12, 1 - 1e-12, 0.5])
    assert [np.count_nonzero(deltas.trimmed(delta, share / 4)) for share in (1, 2, 3)] == [1, 2, 3]


def test_trimming_over_parts_is_trimming_the_whole():
    whole = np.round(np.random.default_rng(0).standard_normal(5000), 1).astype(np.float32)
    parts = np.split(whole, [100, 2000, 2001])
    trim = deltas.Trim(deltas.cut(lambda: parts, 1234))
    kept = np.concatenate([trim.keep(part) for part in parts])
    order = np.lexsort((np.arange(5000), -np.abs(whole)))[:1234]
    assert np.array_equal(np.flatnonzero(kept), np.sort(order))


def test_dare_is_unbiased_and_the_other_rule_keeps_the_sum():
    delta, draw = one((1, -2, 3, -4)), np.random.default_rng(0)
    masks = draw.random((2000, 4)) < 0.3
    mean = np.mean([deltas.dropped(delta, mask, 0.3) for mask in masks], axis=0)
    error = np.abs(delta) * np.sqrt(0.7 / 0.3 / 2000)
    assert (np.abs(mean - delta) < 4 * error).all()
    kept = deltas.dropped(delta, np.array([1, 0, 1, 0], bool), None)
    assert np.abs(kept).sum() == pytest.approx(np.abs(delta).sum())


def test_slerp_ends_lengths_and_scale():
    a, b = one((1, 0, 0, 0)), one((0, 1, 0, 0))
    assert np.allclose(deltas.slerp(a, b, 0), a)
    assert np.allclose(deltas.slerp(a, b, 1), b)
    half = deltas.slerp(a, b, 0.5)
    assert np.linalg.norm(half) == pytest.approx(1)
    assert np.allclose(deltas.slerp(3 * a, 3 * b, 0.5), 3 * half)
    assert np.allclose(deltas.slerp(a, 2 * a, 0.5), 1.5 * a)


def test_the_scale_of_signs_is_the_best_one():
    delta = np.random.default_rng(0).standard_normal(400).astype(np.float32)
    scale, plus = deltas.one_bit(delta)
    signs = np.where(plus, 1, -1)
    errors = [
        np.linalg.norm(delta - factor * scale * signs) for factor in np.linspace(0.5, 1.5, 21)
    ]
    assert int(np.argmin(errors)) == 10


def test_the_order_of_models_does_not_matter():
    draw = np.random.default_rng(0)
    found = [draw.standard_normal(50).astype(np.float32) for _ in range(3)]
    shares = [0.5, 0.3, 0.2]
    for merge in (deltas.linear, deltas.ties):
        turned = merge(found[::-1], shares[::-1])
        assert np.allclose(merge(found, shares), turned, atol=1e-6)


def test_shares_of_entries_are_rounded_up_but_not_by_what_floats_add():
    from bequest.methods.graft._compression import entries_of

    assert [entries_of(0.07, 100), entries_of(0.55, 100), entries_of(0.501, 10)] == [7, 55, 6]


def test_weights_that_sum_up_to_nothing_make_no_average():
    from bequest.methods.graft.linear import Linear

    one = np.ones(3, np.float32)
    with pytest.raises(RequestError, match="sum up to 0"):
        Linear().merged("w", one, [one, one], [1.0, -1.0])
