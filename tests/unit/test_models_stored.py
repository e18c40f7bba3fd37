"""Models that come with weights: Hugging Face folders and delivered models."""

import json

import huggingface_hub
import pytest
import torch
import transformers

from bequest.core.errors import RequestError
from bequest.core.find import find
from bequest.store.tensors import save_tensors

SHAPE = (1, 8, 8)


def tiny_vit(**fields):
    config = transformers.ViTConfig(
        image_size=8,
        patch_size=4,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        id2label={0: "cat", 1: "dog"},
        label2id={"cat": 0, "dog": 1},
        **fields,
    )
    torch.manual_seed(3)
    return transformers.ViTForImageClassification(config).eval()


@pytest.fixture
def folder(tmp_path):
    tiny_vit().save_pretrained(tmp_path / "vit")
    return tmp_path / "vit"


def hf(path, shape=SHAPE, labels=("cat", "dog"), **fields):
    return find("models", "hf")(path=str(path), **fields).build(shape, "image", labels)


def test_labels_and_weights_come_from_the_folder(folder, capfd):
    model = hf(folder)
    images = torch.rand(2, 1, 8, 8)
    expected = tiny_vit()(images.expand(-1, 3, -1, -1)).logits
    assert model.labels == ("cat", "dog")
    assert torch.allclose(model.logits(images), expected, atol=1e-6)
    assert capfd.readouterr() == ("", "")


def test_the_preprocessor_becomes_part_of_the_module(folder):
    (folder / "preprocessor_config.json").write_text(
        json.dumps(
            {"size": {"height": 8, "width": 8}, "image_mean": [0.5] * 3, "image_std": [2] * 3}
        )
    )
    model = hf(folder, (3, 16, 16))
    flat = torch.full((1, 3, 16, 16), 0.9)
    expected = tiny_vit()(torch.full((1, 3, 8, 8), 0.2)).logits
    assert torch.allclose(model.logits(flat), expected, atol=1e-5)
    assert "mean" in model.module.state_dict()


def test_a_new_head_is_new_even_where_the_old_one_fits(folder):
    old = tiny_vit().state_dict()
    model = hf(folder, labels=("x", "y"), new_head=True)
    state = {key.removeprefix("net."): value for key, value in model.module.state_dict().items()}
    assert model.labels == ("x", "y")
    assert not torch.equal(state["classifier.weight"], old["classifier.weight"])
    body = "vit.embeddings.cls_token"
    assert torch.equal(state[body], old[body])
    assert hf(folder, labels=("x", "y", "z"), new_head=True).logits(
        torch.rand(1, 1, 8, 8)
    ).shape == (1, 3)


def test_pickled_weights_are_never_opened(folder):
    (folder / "model.safetensors").unlink()
    torch.save(tiny_vit().state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(RequestError, match="no safetensors file, and pickled weights"):
        hf(folder)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"architectures": ["BertForTokenClassification"]}, "Classification, whose answers"),
        ({}, "no architecture"),
        ("{", "can't be read as JSON"),
        ([1], "must hold a JSON object"),
    ],
)
def test_folders_of_other_things_are_refused(folder, config, said):
    text = config if isinstance(config, str) else json.dumps(config)
    (folder / "config.json").write_text(text)
    assert said in str(find("models", "hf")(path=str(folder)).check()[0])


def test_a_missing_folder_is_told_with_what_was_meant(folder):
    problems = find("models", "hf")(path=str(folder.parent / "vitt")).check()
    assert problems[0].meant == str(folder)


def test_a_hub_id_is_fetched_without_code_or_pickles(folder, monkeypatch):
    asked = []

    def fetch(name, revision, allow_patterns):
        asked.append((name, revision, allow_patterns))
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    assert hf("org/tiny", revision="v1").labels == ("cat", "dog")
    (name, revision, patterns), *_ = asked
    assert (name, revision) == ("org/tiny", "v1")
    endings = {"*.json", "*.safetensors", "*.jinja", "*.model", "*.tiktoken", "*.txt"}
    assert {*patterns} == endings
    (folder / "model.safetensors").unlink()
    with pytest.raises(RequestError, match="`org/tiny` has no safetensors file"):
        hf("org/tiny")


def test_a_hub_id_without_a_network_is_told(monkeypatch):
    def fetch(*_, **__):
        raise ConnectionError("no route")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    with pytest.raises(RequestError, match="no route; without a network only local folders"):
        hf("org/tiny")


def test_damaged_weights_are_told(folder):
    (folder / "model.safetensors").write_bytes(b"\0" * 64)
    with pytest.raises(RequestError, match="is no safetensors file, or damaged"):
        hf(folder)


def test_colour_images_for_a_grey_model_are_refused(tmp_path):
    tiny_vit(num_channels=1).save_pretrained(tmp_path / "grey")
    with pytest.raises(RequestError, match="takes 1 channels, the images have 3"):
        hf(tmp_path / "grey", (3, 8, 8))


@pytest.fixture
def delivered(tmp_path):
    model = find("models", "cnn")(width=2).build(SHAPE, "image", ("a", "b"))
    save_tensors(tmp_path / "model.safetensors", model.module.state_dict())
    told = {
        "use": "cnn",
        "spec": {"width": 2},
        "shape": SHAPE,
        "kind": "image",
        "labels": ["a", "b"],
        "heads": [],
        "whole": True,
    }
    (tmp_path / "model.json").write_text(json.dumps(told))
    return tmp_path, model, told


def saved(path, shape=SHAPE):
    return find("models", "saved")(path=str(path)).build(shape, "image", ("c", "d"))


def test_a_delivered_model_answers_as_before(delivered):
    path, model, _ = delivered
    images = torch.rand(3, *SHAPE)
    again = saved(path)
    assert torch.equal(again.logits(images), model.logits(images))
    assert again.labels == ("a", "b")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"use": "mine:build"}, "code of the user's own"),
        ({"use": "cnnn"}, "did you mean `cnn`"),
        ({"spec": {"widht": 3}}, "settings don't fit"),
        ({"spec": {"width": 3}}, "doesn't fit its description"),
        ({"extra": 1}, "must have the keys"),
    ],
)
def test_damaged_descriptions_are_told(delivered, change, said):
    path, _, told = delivered
    (path / "model.json").write_text(json.dumps(told | change))
    with pytest.raises(RequestError, match=said):
        saved(path)


def test_a_delivered_model_refuses_other_inputs(delivered):
    with pytest.raises(RequestError, match=r"takes image inputs of shape \(1, 8, 8\)"):
        saved(delivered[0], (3, 8, 8))


def test_a_folder_without_weights_is_found_before_building(delivered):
    (delivered[0] / "model.safetensors").unlink()
    problems = find("models", "saved")(path=str(delivered[0])).check()
    assert "no model.safetensors" in problems[0].what
