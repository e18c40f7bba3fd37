"""Folders of weights are lined up by name before they are merged or made into packs."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from language_models import tokenizer
from safetensors.torch import load_file, save_file

from bequest.core.errors import RequestError
from bequest.core.progress import Silent
from bequest.methods.graft._making import METHODS, made
from bequest.store.packs import read_pack, write_pack
from bequest.transfer.merge_files import arithmetic_rule, linear_rule, merged, ties_rule
from bequest.transfer.skill_files import applied, verified

EMBED, HEAD = "model.embed_tokens.weight", "lm_head.weight"


class Notes(Silent):
    def __init__(self):
        self.told = []

    def note(self, text):
        self.told.append(text)


def folder(place, tensors, **config):
    """A model with these weights and settings."""
    place.mkdir()
    save_file({name: each.contiguous() for name, each in tensors.items()},
              place / "model.safetensors")  # fmt: skip
    (place / "config.json").write_text(json.dumps({"model_type": "toy", **config}))
    return place


def drawn(seed=0, **more):
    draw = torch.Generator().manual_seed(seed)
    found = {EMBED: (12, 4), "model.layers.0.mlp.up_proj.weight": (6, 4), "model.norm.weight": (4,)}
    return {name: torch.randn(shape, generator=draw) for name, shape in found.items()} | more


def weights_in(place):
    return load_file(place / "model.safetensors")


@pytest.mark.parametrize("method", METHODS)
def test_a_copy_of_a_tied_weight_is_taken_as_tied(tmp_path, method):
    own, more = drawn(), drawn(1)
    base = folder(tmp_path / "base", own)
    once = folder(tmp_path / "once", more)
    twice = folder(tmp_path / "twice", more | {HEAD: more[EMBED].clone()})
    notes = Notes()
    pack, expected = made(base, twice, method, 2.0, notes), made(base, once, method, 2.0, Silent())
    assert pack.tensors.keys() == expected.tensors.keys() == own.keys()
    for name, data in expected.tensors.items():
        np.testing.assert_array_equal(pack.tensors[name], data)
    assert notes.told == [f"`{HEAD}` of `{twice}` is a copy of its `{EMBED}`, tied in the base"]


def test_a_base_that_stores_a_tied_weight_twice_changes_in_both(tmp_path):
    own, more = drawn(), drawn(1)
    base = folder(tmp_path / "base", own | {HEAD: own[EMBED].clone()})
    tuned = folder(tmp_path / "tuned", more)
    write_pack(tmp_path / "p.safetensors", made(base, tuned, "delta", 1.0, Silent()))
    applied(base, [tmp_path / "p.safetensors"], tmp_path / "with")
    found = weights_in(tmp_path / "with")
    assert torch.equal(found[HEAD], found[EMBED])
    torch.testing.assert_close(found[EMBED], more[EMBED])
    merged(base, [tuned], tmp_path / "merged", linear_rule([1.0]))
    assert torch.equal(weights_in(tmp_path / "merged")[HEAD], more[EMBED])


def test_an_output_layer_of_its_own_is_not_taken_as_tied(tmp_path):
    more = drawn(1)
    base = folder(tmp_path / "base", drawn())
    tuned = folder(tmp_path / "tuned", more | {HEAD: more[EMBED] + 1e-3})
    with pytest.raises(RequestError, match=rf"`{HEAD}` missing, \[12, 4\]"):
        made(base, tuned, "delta", 1.0, Silent())


def with_tokens(place, order=None, **changes):
    words = tokenizer(270)
    told = json.loads(words.backend_tokenizer.to_str())
    if order is not None:
        vocabulary = told["model"]["vocab"]
        one, other = order
        vocabulary[one], vocabulary[other] = vocabulary[other], vocabulary[one]
    (place / "tokenizer.json").write_text(json.dumps(told | changes))
    return place


def test_tokens_are_compared_by_content(tmp_path):
    base = with_tokens(folder(tmp_path / "base", drawn()))
    tuned = folder(tmp_path / "tuned", drawn(1))
    same = with_tokens(tuned)
    file = same / "tokenizer.json"
    file.write_text(json.dumps(json.loads(file.read_text()), indent=1))  # other bytes
    assert made(base, same, "delta", 1.0, Silent()).about["tokens"]
    with_tokens(tuned, order=("a", "b"))
    with pytest.raises(RequestError, match="are in another order than the base's"):
        made(base, tuned, "delta", 1.0, Silent())
    with pytest.raises(RequestError, match="are in another order than the base's"):
        merged(base, [tuned], tmp_path / "out", linear_rule([1.0]))
    with_tokens(tuned, normalizer={"type": "Lowercase"})
    with pytest.raises(RequestError, match="other rules"):
        made(base, tuned, "delta", 1.0, Silent())
    assert not (tmp_path / "out").exists()


def test_tables_of_words_are_compared_where_there_is_nothing_else(tmp_path):
    base, tuned = folder(tmp_path / "base", drawn()), folder(tmp_path / "tuned", drawn(1))
    (base / "vocab.txt").write_text("a\nb\n")
    (tuned / "vocab.txt").write_text("b\na\n")
    with pytest.raises(RequestError, match=r"`vocab\.txt`"):
        made(base, tuned, "delta", 1.0, Silent())


def labelled(*names):
    return {"id2label": {str(number): name for number, name in enumerate(names)}}


def test_labels_are_compared_by_name(tmp_path):
    base = folder(tmp_path / "base", drawn(), **labelled("bad", "good"))
    turned = folder(tmp_path / "turned", drawn(1), **labelled("good", "bad"))
    other = folder(tmp_path / "other", drawn(1), **labelled("bad", "ugly"))
    twice = folder(tmp_path / "twice", drawn(1), **labelled("bad", "bad"))
    for tuned, said in (
        (turned, "another order"),
        (other, "`good`, `ugly`"),
        (twice, "two logits"),
    ):
        with pytest.raises(RequestError, match=said):
            made(base, tuned, "delta", 1.0, Silent())
        with pytest.raises(RequestError, match=said):
            merged(base, [tuned], tmp_path / "out", arithmetic_rule([1.0]))


def test_a_pack_is_not_put_on_a_base_whose_labels_or_tokens_are_others(tmp_path):
    base = with_tokens(folder(tmp_path / "base", drawn(), **labelled("bad", "good")))
    tuned = with_tokens(folder(tmp_path / "tuned", drawn(1), **labelled("bad", "good")))
    path = tmp_path / "p.safetensors"
    write_pack(path, made(base, tuned, "delta", 1.0, Silent()))
    verified(path, base)
    turned = with_tokens(folder(tmp_path / "turned", drawn(), **labelled("good", "bad")))
    renumbered = folder(tmp_path / "renumbered", drawn(), **labelled("bad", "good"))
    with_tokens(renumbered, order=("a", "b"))
    for wrong, kind in ((turned, "labels"), (renumbered, "tokens")):
        with pytest.raises(RequestError, match=rf"the {kind} of .* are not those"):
            applied(wrong, [path], tmp_path / "out")
        with pytest.raises(RequestError, match=rf"the {kind} of .* are not those"):
            verified(path, wrong)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "change",
    [{"num_attention_heads": 1}, {"hidden_act": "gelu"}, {"eps": 1e-3},
     {"tie_word_embeddings": False}, {"model_type": "other"}, {"architectures": ["Other"]},
     {"rope_parameters": {"rope_theta": 7.0}}, {"text_config": {"hidden_act": "relu"}}],
)  # fmt: skip
def test_settings_that_change_a_function_are_refused_by_their_name(tmp_path, change):
    told = {"num_attention_heads": 2, "hidden_act": "silu", "eps": 1e-6,
            "tie_word_embeddings": True, "architectures": ["Toy"], "model_type": "toy",
            "rope_parameters": {"rope_theta": 9.0},
            "text_config": {"hidden_act": "silu"}}  # fmt: skip
    base = folder(tmp_path / "base", drawn(), **told)
    tuned = folder(tmp_path / "tuned", drawn(1), **told | change)
    with pytest.raises(RequestError, match=f"`{next(iter(change))}"):
        made(base, tuned, "delta", 1.0, Silent())


def test_a_setting_is_compared_where_older_and_newer_files_have_it(tmp_path):
    base = folder(tmp_path / "base", drawn(), rope_theta=1e4)
    for name, theta in (("same", 1e4), ("other", 5e5)):
        folder(tmp_path / name, drawn(1), rope_parameters={"rope_theta": theta})
    notes = Notes()
    made(base, tmp_path / "same", "delta", 1.0, notes)
    assert notes.told == []
    with pytest.raises(RequestError, match=r"rope_theta` 10000\.0, 500000\.0"):
        made(base, tmp_path / "other", "delta", 1.0, Silent())


def test_settings_that_change_nothing_are_let_be_and_types_are_noted(tmp_path):
    base = folder(tmp_path / "base", drawn(), use_cache=True, dtype="float32", n_positions=8)
    more = {name: each.bfloat16() for name, each in drawn(1).items()}
    told = {"use_cache": False, "dtype": "bfloat16", "eos_token_id": [1, 2], "n_positions": 9}
    tuned, notes = folder(tmp_path / "tuned", more, **told, odd=1), Notes()
    made(base, tuned, "delta", 1.0, notes)
    found = " ".join(notes.told)
    assert "`odd` is set in the config of only one" in found
    assert "`n_positions` is 8 in the base and 9" in found
    assert "3 weights are of other types" in found
    assert len(notes.told) == 3


def test_what_is_no_weight_is_left_or_refused(tmp_path):
    table, ids = torch.arange(4).float(), torch.arange(3)
    base = folder(tmp_path / "base", drawn(**{"a.rotary_emb.inv_freq": table, "ids": ids}))
    tuned, notes = folder(tmp_path / "tuned", drawn(1, ids=ids)), Notes()
    assert "a.rotary_emb.inv_freq" not in made(base, tuned, "delta", 1.0, notes).tensors
    rule = linear_rule([0.3, 0.3])
    merged(base, [tuned, tuned], tmp_path / "out", rule, notes)
    assert torch.equal(weights_in(tmp_path / "out")["a.rotary_emb.inv_freq"], table)
    other = folder(tmp_path / "other", drawn(1, ids=ids + 1))
    with pytest.raises(RequestError, match="`ids` differs"):
        made(base, other, "delta", 1.0, Silent())


def normed(seed, var, count):
    return drawn(seed, **{"bn.running_var": torch.full((3,), var),
                          "bn.running_mean": torch.full((3,), var / 2),
                          "bn.num_batches_tracked": torch.tensor(count)})  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "var"),
    [(linear_rule([1.0, 3.0]), 8.0), (linear_rule([2.0, -1.0]), 4.0),
     (arithmetic_rule([0.5, 0.25]), 5.75), (arithmetic_rule([-1.0, 0.0]), 4.0),
     (ties_rule([1.0, 1.0], 0.5), 7.0), (ties_rule([1.0, -1.0], 0.5), 4.0)],
)  # fmt: skip
def test_what_batch_norm_measured_is_averaged_or_stays(tmp_path, rule, var):
    base = folder(tmp_path / "base", normed(0, 4.0, 1))
    donors = [folder(tmp_path / f"{count}", normed(count, *told))
              for count, told in enumerate(((5.0, 2), (9.0, 3)), 1)]  # fmt: skip
    notes = Notes()
    merged(base, donors, tmp_path / "out", rule, notes)
    found = weights_in(tmp_path / "out")
    assert found["bn.running_var"].tolist() == pytest.approx([var] * 3)
    assert found["bn.running_mean"].tolist() == pytest.approx([var / 2] * 3)
    assert found["bn.num_batches_tracked"] == 1
    assert bool(notes.told) == (var == 4.0)


def test_packs_that_sum_up_to_a_negative_variance_are_refused(tmp_path):
    base = folder(tmp_path / "base", normed(0, 5.0, 1))
    tuned = folder(tmp_path / "tuned", normed(1, 1.0, 2))
    for name in METHODS:
        write_pack(tmp_path / f"{name}.safetensors", made(base, tuned, name, 0.3, Silent()))
    for name in METHODS:  # variances are kept whole by every method
        applied(base, [tmp_path / f"{name}.safetensors"], tmp_path / f"with-{name}")
        assert weights_in(tmp_path / f"with-{name}")["bn.running_var"].tolist() == [1.0] * 3
    both = [tmp_path / "delta.safetensors", tmp_path / "signs.safetensors"]
    with pytest.raises(RequestError, match=r"`bn\.running_var` has a variance of -3"):
        applied(base, both, tmp_path / "both")
    assert not (tmp_path / "both").exists()


def test_numbers_that_are_not_finite_are_refused_by_name_and_leave_nothing(tmp_path):
    base, sick = folder(tmp_path / "base", drawn()), drawn(1)
    sick["model.norm.weight"][2] = torch.inf
    tuned = folder(tmp_path / "tuned", sick)
    with pytest.raises(RequestError, match=r"`model\.norm\.weight` of the tuned model"):
        made(base, tuned, "delta", 1.0, Silent())
    for rule in (linear_rule([1.0]), ties_rule([1.0], 0.5)):
        with pytest.raises(RequestError, match=r"`model\.norm\.weight` in .* not finite"):
            merged(base, [tuned], tmp_path / "out", rule)
    large = folder(
        tmp_path / "large", {name: (each * 3e4).half() for name, each in drawn().items()}
    )
    with pytest.raises(RequestError, match="not finite"):  # too large for 16 bits
        merged(large, [large], tmp_path / "out", linear_rule([4.0], normalise=False))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_mean_of_one_model_is_that_model_to_the_bit(tmp_path, dtype):
    base = folder(tmp_path / "base", {n: each.to(dtype) for n, each in normed(0, 4.0, 1).items()})
    own = {n: each.to(dtype) for n, each in normed(1, 3.0, 1).items()}
    tuned = folder(tmp_path / "tuned", own)
    merged(base, [tuned], tmp_path / "out", linear_rule([0.3]))
    found = weights_in(tmp_path / "out")
    assert all(torch.equal(found[name], each) for name, each in own.items())


@pytest.mark.parametrize("rule", [linear_rule([1.0, 1.0]), arithmetic_rule([0.5, 0.5]),
                                  ties_rule([1.0, 1.0], 0.5)])  # fmt: skip
def test_donors_in_another_order_give_the_same_file(tmp_path, rule):
    base = folder(tmp_path / "base", normed(0, 4.0, 1))
    donors = [folder(tmp_path / f"{seed}", normed(seed, float(seed), 1)) for seed in (1, 2)]
    merged(base, donors, tmp_path / "one", rule)
    merged(base, donors[::-1], tmp_path / "other", rule)
    one, other = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "other"))
    assert one == other


def test_a_changed_byte_of_a_pack_is_a_checksum_mismatch(tmp_path):
    base, tuned = folder(tmp_path / "base", drawn()), folder(tmp_path / "tuned", drawn(1))
    path = tmp_path / "p.safetensors"
    write_pack(path, made(base, tuned, "delta", 1.0, Silent()))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(RequestError, match="checksum mismatch"):
        read_pack(path, whole=True)
