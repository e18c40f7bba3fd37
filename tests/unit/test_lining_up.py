"""Live models are lined up by name: tokens, labels, adapters, and what is no weight."""

from __future__ import annotations

import copy
import json
import shutil

import numpy as np
import peft
import pytest
import torch
from language_models import language_model, text_classifier
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM
from workbench import bench, same, weights

import bequest
from bequest.build.model import Aligned, Classifier, align
from bequest.build.models.hf import Hf
from bequest.core.errors import RequestError
from bequest.core.live import Texts
from bequest.methods.graft.graftllm import Graftllm
from bequest.methods.graft.linear import Linear
from bequest.methods.graft.magnitude import Magnitude
from bequest.methods.graft.task_arithmetic import TaskArithmetic
from bequest.methods.graft.ties import Ties
from bequest.runner.preparing import inspect, prepare
from bequest.transfer.lining_up import line_up
from bequest.transfer.randomness import seeded
from bequest.transfer.weights import add, graft, weights_of

SAID = Texts(("the cat sat", "a dog ran on the mat", "cats sit"))
ONE_DONOR = [Linear(), Linear(weights=(0.3,)), TaskArithmetic(), Ties(density=1.0)]


def merged(method, folder, base, *donors):
    """A merge of copies, and what was noted on the way."""
    base, notes = copy.deepcopy(base), []
    place = bench(folder, models={"base": base, "donors": list(copy.deepcopy(donors))})
    place._note = notes.append
    (stage,) = method.transfer(place)
    return stage.model, notes


def moved(model, by=0.05, seed=1):
    """A copy whose weights are a little elsewhere."""
    twin = copy.deepcopy(model)
    with seeded(seed), torch.no_grad():
        for weight in twin.module.parameters():
            weight += by * torch.randn(weight.shape)
    return twin


def renumbered(folder, out, seed=0):
    """The same model with its tokens under other numbers: tokenizer and rows agree."""
    shutil.copytree(folder, out)
    file = out / "tokenizer.json"
    told = json.loads(file.read_text())
    words = told["model"]["vocab"]
    fixed = {token["content"] for token in told["added_tokens"]}
    free = [number for word, number in words.items() if word not in fixed]
    places = dict(zip(free, np.random.default_rng(seed).permutation(free).tolist(), strict=True))
    told["model"]["vocab"] = {word: places.get(number, number) for word, number in words.items()}
    file.write_text(json.dumps(told))
    from safetensors.torch import load_file, save_file

    tensors = load_file(out / "model.safetensors")
    for name, tensor in tensors.items():
        if len(tensor) == len(words):
            rows = tensor.clone()
            for old, new in places.items():
                rows[new] = tensor[old]
            tensors[name] = rows
    save_file(tensors, out / "model.safetensors", {"format": "pt"})
    return out


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A language model, and the same function with other numbers of tokens."""
    place = tmp_path_factory.mktemp("models")
    one = language_model(place / "one", layers=2, width=16)
    return one, renumbered(one, place / "two")


def model_at(folder):
    return Hf(path=str(folder)).build((), "text", ())


@pytest.mark.parametrize("method", [Linear(), TaskArithmetic(scale=0.5), Ties(density=1.0)])
def test_renumbered_copies_of_one_function_give_that_function(folders, tmp_path, method):
    one, two = map(model_at, folders)
    expected = one.logprob(SAID).values
    torch.testing.assert_close(two.logprob(SAID).values, expected)
    for number, donors in enumerate(([one, two], [two, one], [two])):
        found, notes = merged(method, tmp_path / f"{number}", one, *donors)
        torch.testing.assert_close(found.logprob(SAID).values, expected)
        assert any("the tokens of" in note for note in notes)


def test_a_pack_of_a_renumbered_donor_holds_only_what_it_learned(folders):
    base, donor = map(model_at, folders)
    with torch.no_grad():
        donor.module.model.norm.weight += 0.5
    lined = Magnitude(density=1.0).compressed(base, donor)
    assert set(lined.tensors) == {"model.norm.weight"}
    graft(base.module, lined)
    torch.testing.assert_close(base.logprob(SAID).values, donor.logprob(SAID).values)


def test_other_tokens_and_other_rules_are_refused(folders, tmp_path):
    base = model_at(folders[0])
    other = language_model(tmp_path / "more", layers=2, width=16, vocabulary=290)
    with pytest.raises(RequestError, match="known to one only"):
        line_up(base, [model_at(other)])
    lower = shutil.copytree(folders[0], tmp_path / "lower")
    told = json.loads((lower / "tokenizer.json").read_text())
    (lower / "tokenizer.json").write_text(json.dumps({**told, "normalizer": {"type": "Lowercase"}}))
    with pytest.raises(RequestError, match="other rules"):
        line_up(base, [model_at(lower)])


@pytest.mark.parametrize(
    ("setting", "value"),
    [("rms_norm_eps", 1e-3), ("hidden_act", "gelu"), ("num_attention_heads", 2),
     ("rope_parameters", {"rope_theta": 500.0, "rope_type": "default"})],
)  # fmt: skip
def test_settings_that_change_a_function_but_no_shape_are_refused(
    folders, tmp_path, setting, value
):
    out = shutil.copytree(folders[0], tmp_path / "out")
    told = json.loads((out / "config.json").read_text())
    more = {"head_dim": 8, "num_key_value_heads": 1} if setting == "num_attention_heads" else {}
    (out / "config.json").write_text(json.dumps({**told, setting: value, **more}))
    base, donor = model_at(folders[0]), model_at(out)
    assert setting != "rms_norm_eps" or line_up(base, [model_at(folders[0])]).notes == []
    with pytest.raises(RequestError, match=setting.partition("_")[0]):
        line_up(base, [donor])


def test_a_length_that_changes_nothing_is_noted(folders, tmp_path):
    out = shutil.copytree(folders[0], tmp_path / "out")
    told = json.loads((out / "config.json").read_text())
    (out / "config.json").write_text(json.dumps({**told, "max_position_embeddings": 128}))
    (note,) = line_up(model_at(folders[0]), [model_at(out)]).notes
    assert "max_position_embeddings" in note


def classifier(labels=("a", "b", "c"), between=torch.nn.ReLU, seed=0, norm=False):
    nn = torch.nn
    with seeded(seed):
        parts = [nn.BatchNorm1d(6)] if norm else []
        net = nn.Sequential(nn.Linear(4, 6), *parts, between(), nn.Linear(6, len(labels)))
    return Classifier(net.eval(), tuple(labels))


INPUTS = torch.randn(20, 4, generator=torch.Generator().manual_seed(3))


def relabelled(model, labels):
    """The same function with its logits in another order."""
    twin = copy.deepcopy(model)
    rows = [model.labels.index(label) for label in labels]
    for tensor in twin.module[-1].parameters():
        tensor.data = tensor.data[rows].clone()
    return Classifier(twin.module, tuple(labels))


@pytest.mark.parametrize("method", ONE_DONOR)
def test_labels_in_another_order_are_put_in_the_bases(tmp_path, method):
    base = classifier()
    donor = relabelled(moved(base), ("c", "a", "b"))
    expected = align(donor, base.labels).logits(INPUTS)
    for number, asked in enumerate((donor, align(donor, base.labels))):  # as runs align models
        found, notes = merged(method, tmp_path / f"{number}", base, asked)
        torch.testing.assert_close(found.logits(INPUTS), expected)
        assert any("the labels of" in note for note in notes)


def test_labels_of_a_pretrained_classifier_are_put_in_the_bases(tmp_path):
    base = model_at(text_classifier(tmp_path / "one", ("bad", "good")))
    donor = model_at(text_classifier(tmp_path / "two", ("good", "bad")))
    for tensor in donor.module.classifier.parameters():  # drawn from one seed, so equal
        tensor.data = tensor.data.flip(0)
    found, _ = merged(Linear(), tmp_path / "out", base, donor)
    assert torch.equal(found.logits(SAID), base.logits(SAID))


def test_other_labels_and_two_logits_of_one_name_are_refused():
    base = classifier()
    with pytest.raises(RequestError, match=r"other labels: 2 are of one only \(`c`, `d`\)"):
        line_up(base, [classifier(("a", "b", "d"))])
    with pytest.raises(RequestError, match="two logits named `a`"):
        line_up(base, [classifier(("a", "b", "a"))])
    with pytest.raises(RequestError, match="two logits named `a`"):
        align(classifier(("a", "b", "a")), ("b", "a"))
    assert isinstance(align(classifier(("a", "b", "b")), ("a",)), Aligned)  # not asked for


def test_labels_of_a_layer_that_is_not_the_last_one_are_refused():
    base = classifier()
    donor = relabelled(base, ("c", "a", "b"))
    for model in (base, donor):
        model.module.append(torch.nn.BatchNorm1d(3))
    with pytest.raises(RequestError, match="another order"):
        line_up(base, [donor])


def test_layers_of_another_kind_are_refused():
    with pytest.raises(RequestError, match=r"`1` ReLU\(\), GELU"):
        line_up(classifier(), [classifier(between=torch.nn.GELU)])
    drop = classifier(between=torch.nn.ReLU)
    drop.module.append(torch.nn.Dropout(0.5))
    assert line_up(classifier(), [drop]).notes == []


def tiny(kind):
    sizes = {"vocab_size": 24, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
    with seeded(0):
        if kind == "gpt2":
            config = GPT2Config(n_embd=16, n_layer=1, n_head=2, n_positions=16, **sizes)
            return GPT2LMHeadModel(config).eval()
        config = LlamaConfig(hidden_size=16, intermediate_size=16, num_hidden_layers=1,
                             num_attention_heads=2, tie_word_embeddings=kind == "tied",
                             mlp_bias=True, **sizes)  # fmt: skip
        return LlamaForCausalLM(config).eval()


def adapted(kind, **settings):
    """A tiny model with adapters that have learned something."""
    net = tiny(kind)
    peft.inject_adapter_in_model(peft.LoraConfig(r=2, lora_alpha=8, **settings), net)
    with seeded(1), torch.no_grad():
        for name, weight in net.named_parameters():
            if "lora_" in name and "magnitude" not in name:
                weight += 0.3 * torch.randn(weight.shape)
    return net.eval()


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("llama", {"target_modules": ["up_proj", "q_proj"]}),
        ("llama", {"target_modules": ["up_proj"], "use_rslora": True}),
        ("llama", {"target_modules": ["up_proj"], "use_dora": True}),
        ("llama", {"target_modules": ["up_proj"], "lora_bias": True}),
        ("llama", {"target_modules": ["up_proj", "q_proj"], "alpha_pattern": {"q_proj": 32}}),
        ("llama", {"target_modules": ["embed_tokens"]}),
        ("llama", {"target_modules": ["lm_head"]}),
        ("gpt2", {"target_modules": ["c_attn", "c_fc"], "fan_in_fan_out": True}),
    ],
)
def test_weights_with_adapters_are_what_the_model_answers_with(kind, settings):
    net, plain, ids = adapted(kind, **settings), tiny(kind), torch.arange(12).view(2, 6)
    before = plain(ids).logits.detach()
    for name, weight in weights_of(plain).items():
        weight.put(weights_of(net)[name].floats())
    expected = net(ids).logits
    assert (expected - before).abs().max() > 1e-3
    torch.testing.assert_close(plain(ids).logits, expected, atol=1e-5, rtol=1e-5)


def test_adapters_that_are_merged_or_switched_off_are_not_added_again():
    net = adapted("llama", target_modules=["up_proj"])
    expected = weights_of(net)["model.layers.0.mlp.up_proj.weight"].floats()
    layer = net.model.layers[0].mlp.up_proj
    layer.merge()
    name = "model.layers.0.mlp.up_proj.weight"
    np.testing.assert_array_equal(weights_of(net)[name].floats(), expected)
    layer.unmerge()
    layer.enable_adapters(False)
    plain = weights_of(tiny("llama"))[name].floats()
    np.testing.assert_allclose(weights_of(net)[name].floats(), plain, atol=1e-6)


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings")
@pytest.mark.parametrize("target", ["lm_head", "embed_tokens"])
def test_adapters_on_one_use_of_a_tied_weight_are_refused(target):
    with pytest.raises(RequestError, match="is also used as"):
        weights_of(adapted("tied", target_modules=[target]))


def test_a_base_with_adapters_that_learned_becomes_the_donor(tmp_path):
    base = Classifier(classifier().module, ("a", "b", "c"))
    donor = moved(base)
    peft.inject_adapter_in_model(peft.LoraConfig(r=2, target_modules=["0"]), base.module)
    with torch.no_grad():
        base.module[0].lora_B["default"].weight += 0.5
    found, _ = merged(Linear(), tmp_path, base, donor)
    torch.testing.assert_close(found.logits(INPUTS), donor.logits(INPUTS), atol=1e-5, rtol=1e-5)


def normed(seed=0, var=4.0, mean=1.0):
    model = classifier(norm=True, seed=seed)
    norm = model.module[1]
    norm.running_var.fill_(var), norm.running_mean.fill_(mean)
    return model


@pytest.mark.parametrize(
    ("method", "var", "mean"),
    [
        (Linear(), 7.0, 2.5),
        (Linear(weights=(3, 1)), 6.0, 2.0),
        (Linear(weights=(2, -1)), 4.0, 1.0),
        (TaskArithmetic(scale=0.25), 5.5, 1.75),
        (TaskArithmetic(weights=(-1, 0)), 4.0, 1.0),
        (TaskArithmetic(scale=2.0), 4.0, 1.0),
        (Ties(), 7.0, 2.5),
        (Ties(scale=2.0), 4.0, 1.0),
    ],
)
def test_what_batch_norm_measured_is_averaged_or_stays(tmp_path, method, var, mean):
    base, one, other = normed(), normed(1, 5.0, 1.5), normed(2, 9.0, 3.5)
    found, notes = merged(method, tmp_path, base, one, other)
    norm = found.module[1]
    assert norm.running_var.tolist() == pytest.approx([var] * 6)
    assert norm.running_mean.tolist() == pytest.approx([mean] * 6)
    assert any("2 tensors of means" in note for note in notes) == (var == 4.0)
    assert torch.isfinite(found.logits(INPUTS)).all()


def test_packs_that_sum_up_to_a_negative_variance_are_refused():
    base, donor = normed(var=5.0), normed(var=1.0)
    for method in (Magnitude(density=0.1), Graftllm(budget=None)):
        given = (base, donor) if isinstance(method, Magnitude) else (
            copy.deepcopy(base), donor, [INPUTS])  # fmt: skip
        pack, model = method.compressed(*given), copy.deepcopy(base)
        add(model.module, pack)
        assert torch.equal(model.module[1].running_var, donor.module[1].running_var)
        with pytest.raises(RequestError, match="a variance must not be negative"):
            add(model.module, pack)


def test_buffers_that_are_no_statistics_must_be_equal(tmp_path):
    base, donor = classifier(), moved(classifier())
    for number, kind in enumerate((torch.float32, torch.int64)):
        for model in (base, donor):
            model.module.register_buffer(f"mask{number}", torch.ones(3, dtype=kind))
    found, _ = merged(Linear(weights=(0.3, 0.6)), tmp_path, base, donor, donor)
    assert torch.equal(found.module.mask0, base.module.mask0)
    donor.module.mask1[1] = 5
    with pytest.raises(RequestError, match="`mask1` differs between the base and the donor"):
        line_up(base, [donor])


def test_parents_and_merges_that_are_not_finite_are_refused(tmp_path):
    base, donor = classifier(), classifier()
    donor.module[0].bias.data[2] = torch.nan
    with pytest.raises(RequestError, match=r"the donor is damaged: `0\.bias` has numbers"):
        line_up(base, [donor])
    half = Classifier(classifier().module.half(), base.labels)
    large = moved(half, by=3e4)
    with pytest.raises(RequestError, match="not finite"):
        merged(TaskArithmetic(scale=9.0), tmp_path, half, large)


@pytest.mark.parametrize("method", ONE_DONOR)
def test_the_mean_of_one_model_is_that_model(tmp_path, method):
    base = normed()
    donor = moved(normed(var=6.0))
    found, _ = merged(method, tmp_path, base, donor)
    if isinstance(method, Linear):
        assert same(weights(found), weights(donor))
    for name, tensor in weights(found).items():
        torch.testing.assert_close(tensor, weights(donor)[name], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("method", [Linear(), TaskArithmetic(), Ties()])
def test_donors_in_another_order_give_the_same(tmp_path, method):
    base = normed()
    one, other = moved(base), moved(base, seed=2)
    found = [weights(merged(method, tmp_path / name, base, *donors)[0])
             for name, donors in (("a", (one, other)), ("b", (other, one)))]  # fmt: skip
    assert same(*found)


@pytest.fixture
def recipe(folders, tmp_path):
    """Two language models and texts; a step merges what it is told to."""
    (tmp_path / "texts").mkdir()
    for number in range(8):
        (tmp_path / "texts" / f"{number}.txt").write_text(f"the cat sat on mat {number} and slept")

    def made(other, **lora):
        of = {"use": "hf", "path": str(other)}
        return {
            "models": {"one": {"use": "hf", "path": str(folders[0])},
                       "two": {"use": "lora", "of": of, **lora} if lora else of},
            "tasks": {"t": {"use": "language", "path": str(tmp_path / "texts")}},
            "steps": [{"name": "merge", "method": {"use": "linear"},
                       "models": {"base": "one", "donors": ["one", "two"]}}],
        }  # fmt: skip

    return made


def test_unlike_parents_are_found_before_the_work(recipe, tmp_path):
    more = language_model(tmp_path / "more", layers=2, width=16, vocabulary=290)
    with pytest.raises(RequestError, match=r"models\.two: `merge`: .* known to one only"):
        prepare(*inspect(recipe(more)))


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings")
def test_adapters_on_a_tied_weight_are_found_before_the_work(recipe, folders):
    with pytest.raises(RequestError, match=r"models\.two: `merge`: adapters change `lm_head`"):
        prepare(*inspect(recipe(folders[0], targets=["lm_head"])))


def test_a_run_says_what_was_put_in_order_and_ends_with_that_function(recipe, folders, tmp_path):
    run = bequest.run(recipe(folders[1]), out=tmp_path / "run")
    values = [run.matrix.value("log_perplexity", row, "t").value for row in range(3)]
    assert values == pytest.approx([values[0]] * 3, abs=1e-5)
    log = (tmp_path / "run" / "log.jsonl").read_text()
    assert "the tokens of donor 2 were put in the order of the base's" in log
