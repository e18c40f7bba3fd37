"""Pretrained image models answer as behind their own processor from transformers."""

import json

import numpy as np
import pytest
import torch
import transformers

from bequest.build.processors import resized
from bequest.core.errors import RequestError
from bequest.core.find import find
from bequest.transfer.state import reading

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
LABELS = ("LABEL_0", "LABEL_1")
CROP = {"crop_size": {"height": 24, "width": 24}}


def square(side):
    return {"height": side, "width": side}


def shortest(side):
    return {"shortest_edge": side}


def tiny_resnet(**fields):
    config = transformers.ResNetConfig(
        embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], layer_type="basic", **fields
    )
    return transformers.ResNetForImageClassification(config)


def tiny_vit(kind=transformers.ViTForImageClassification):
    config = kind.config_class(
        image_size=24,
        patch_size=8,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
    )
    return kind(config)


def tiny_swin():
    config = transformers.SwinConfig(
        image_size=32, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[1, 1], window_size=4
    )
    return transformers.SwinForImageClassification(config)


def tiny_clip():
    vision = {
        "image_size": 24,
        "patch_size": 8,
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    config = transformers.CLIPConfig(vision_config=vision, num_labels=2)
    return transformers.CLIPForImageClassification(config)


def saved(folder, net, **settings):
    torch.manual_seed(0)
    model = net()
    for parameter in model.parameters():  # so that answers differ by more than a rounding
        torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return model.eval()


def live(folder, shape):
    return find("models", "hf")(path=str(folder)).build(shape, "image", LABELS)


def noise(*shape):
    return np.random.default_rng(1).integers(0, 256, shape, np.uint8)


def behind_its_own(folder, net, pictures):
    """Inputs and logits by transformers alone, for pictures uint8 [n, channels, height, width]."""
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    coloured = pictures.repeat(3, axis=1) if pictures.shape[1] == 1 < net.config.num_channels else (
        pictures
    )  # fmt: skip
    made = processor(list(coloured), return_tensors="pt", input_data_format="channels_first")
    with torch.no_grad():
        return made["pixel_values"].float(), net(pixel_values=made["pixel_values"].float()).logits


def refuse_other_answers(folder, net, pictures):
    inputs, logits = behind_its_own(folder, net, pictures)
    model = live(folder, pictures.shape[1:])
    floats = torch.from_numpy(pictures).float() / 255
    level = 1 / 255 * (inputs.max() - inputs.min()) / (floats.max() - floats.min())
    ours = model.module.prepared(floats)
    assert ours.shape == inputs.shape
    assert ((ours - inputs).abs() > level / 2).float().mean() < 0.1  # ties of rounding
    with torch.no_grad():
        assert torch.allclose(model.logits(floats), logits, atol=1e-3, rtol=1e-3)


PROCESSORS = {
    "crop_pct": ("ConvNext", {"size": shortest(32), "crop_pct": 0.5, "resample": 3}),
    "its default": ("ConvNext", {"size": 24}),
    "warped": ("ConvNext", {"size": shortest(400), "crop_pct": 0.5}),
    "nearest": ("ViT", {"size": square(24), "resample": 0}),
    "lanczos": ("ViT", {"size": square(24), "resample": 1}),
    "box": ("ViT", {"size": square(24), "resample": 4}),
    "hamming": ("ViT", {"size": 24, "resample": 5}),
    "not normalised": ("ViT", {"size": 24, "do_normalize": False}),
    "not rescaled": (
        "ViT",
        {"size": 24, "do_rescale": False, "image_mean": [127] * 3, "image_std": [74] * 3},
    ),
    "another factor": ("ViT", {"size": 24, "rescale_factor": 1 / 127.5, "image_mean": [1.0] * 3}),
    "not resized": ("ViT", {"do_resize": False, "image_mean": MEAN, "image_std": STD}),
    "crop": ("DeiT", {"size": square(32), "crop_size": square(24), "image_std": STD}),
    "crop larger": ("Bit", {"size": shortest(20), "crop_size": square(33)}),
    "longest": ("Bit", {"size": {"shortest_edge": 20, "longest_edge": 30}, "crop_size": 20}),
    "BGR": ("MobileViT", {"size": shortest(36), "crop_size": square(32)}),
    "RGB": ("MobileViT", {"size": shortest(36), "do_flip_channel_order": False}),
    "twice": ("EfficientNet", {"size": square(24)}),
    "offset": (
        "EfficientNet",
        {
            "size": square(24),
            "rescale_offset": True,
            "rescale_factor": 1 / 127.5,
            "do_normalize": False,
            "include_top": False,
        },
    ),
    "256 for 224": ("Levit", {"size": shortest(28), "crop_size": square(28)}),
    "share": ("PoolFormer", {"size": shortest(24), "crop_size": square(24), "crop_pct": 0.9}),
    "square share": ("PoolFormer", {"size": square(24), "crop_size": square(24), "crop_pct": 0.8}),
    "crop first": ("Perceiver", {"size": square(24), "crop_size": square(32)}),
    "old name": ("", {"feature_extractor_type": "ViTFeatureExtractor", "size": 24}),
}


@pytest.mark.parametrize("which", PROCESSORS)
def test_every_setting_of_a_processor_counts(tmp_path, which):
    name, settings = PROCESSORS[which]
    kind = {"image_processor_type": f"{name}ImageProcessor"} if name else {}
    net = saved(tmp_path, tiny_resnet, **kind, **settings)
    for shape in ((3, 3, 32, 32), (3, 1, 17, 17)):
        refuse_other_answers(tmp_path, net, noise(*shape))


FAMILIES = {
    "deit": (
        lambda: tiny_vit(transformers.DeiTForImageClassification),
        {
            "image_processor_type": "DeiTImageProcessor",
            "size": square(32),
            "crop_size": square(24),
        },
    ),
    "swin": (tiny_swin, {"image_processor_type": "ViTImageProcessor", "size": square(32)}),
    "clip": (
        tiny_clip,
        {"image_processor_type": "CLIPImageProcessor", "size": 24, "crop_size": 24},
    ),
}


@pytest.mark.parametrize("which", FAMILIES)
def test_families_answer_as_transformers_alone(tmp_path, which):
    build, settings = FAMILIES[which]
    net = saved(tmp_path, build, **settings)
    if which == "clip":
        net.config.num_channels = 3
    refuse_other_answers(tmp_path, net, noise(3, 3, 40, 40))


def test_a_grey_model_keeps_its_one_channel(tmp_path):
    settings = {"size": square(20), "image_mean": [0.2], "image_std": [0.4]}
    net = saved(
        tmp_path, lambda: tiny_resnet(num_channels=1),
        image_processor_type="ViTImageProcessor", **settings,
    )  # fmt: skip
    refuse_other_answers(tmp_path, net, noise(6, 1, 28, 28))


def test_a_processor_within_the_file_of_another_is_found(tmp_path):
    net = saved(tmp_path, tiny_resnet)
    (tmp_path / "preprocessor_config.json").unlink()
    told = {"image_processor_type": "ViTImageProcessor", "size": square(20), "image_mean": MEAN}
    (tmp_path / "processor_config.json").write_text(json.dumps({"image_processor": told}))
    refuse_other_answers(tmp_path, net, noise(6, 3, 32, 32))


def test_the_processor_is_part_of_the_module_and_named(tmp_path):
    settings = {"image_processor_type": "ViTImageProcessor", "size": square(20)}
    saved(tmp_path, tiny_resnet, **settings)
    model = live(tmp_path, (3, 32, 32))
    assert model.processor == settings
    before = reading({"student": model})
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings | {"resample": 3}))
    assert reading({"student": live(tmp_path, (3, 32, 32))}) != before != {}
    images = torch.rand(2, 3, 32, 32, requires_grad=True)
    model.logits(images).sum().backward()
    assert images.grad.abs().sum() > 0


def test_gradients_pass_the_rounding_and_fractions_stay():
    half = torch.full((2, 4), 0.25)
    whole = torch.tensor([[[[10.0, 20.0, 30.0, 41.0]] * 4]]) / 255
    whole.requires_grad_()
    made = resized(whole, half, half)
    assert torch.allclose(made * 255, torch.full((1, 1, 2, 2), 25.0))  # 25.25, in whole levels
    made.sum().backward()
    assert torch.allclose(whole.grad, torch.full((1, 1, 4, 4), 0.25))
    fractions = resized(whole.detach() + 0.3 / 255, half, half)
    assert torch.allclose(fractions * 255, torch.full((1, 1, 2, 2), 25.55))


def test_pictures_that_are_enlarged_are_told_with_a_size(tmp_path):
    crop = {"size": square(32), "crop_size": square(24)}
    saved(tmp_path, tiny_resnet, image_processor_type="DeiTImageProcessor", **crop)
    (note,) = live(tmp_path, (3, 20, 20)).notes
    assert "from 20 x 20 to 32 x 32 pixels" in note
    assert "write `size: 32`" in note
    assert live(tmp_path, (3, 32, 32)).notes == ()
    (tmp_path / "preprocessor_config.json").unlink()
    assert "they stay in [0, 1]" in live(tmp_path, (3, 32, 32)).notes[0]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"image_processor_type": "ViTImageProcessor", "crop_percent": 0.5}, "known: crop_percent"),
        (
            {"image_processor_type": "TextNetImageProcessor", "size": shortest(20)},
            "does more than is known here",
        ),
        (
            {"image_processor_type": "ImageGPTImageProcessor", "clusters": [[0, 0, 0], [1, 1, 1]]},
            "gives input_ids, not pictures",
        ),
        ({"image_processor_type": "ViTImageProcessor", "rescale_factor": 0.0}, "can't be loaded"),
        (
            {"image_processor_type": "ConvNextImageProcessor", "size": 300, "crop_pct": 1e-6},
            "pixels wide; at most 4096",
        ),
        ({"image_processor_type": "NoImageProcessor"}, "can't be loaded"),
    ],
)
def test_what_is_not_known_is_refused(tmp_path, settings, said):
    saved(tmp_path, tiny_resnet, **settings)
    with pytest.raises(RequestError, match=said):
        live(tmp_path, (3, 32, 32))


def test_a_size_that_the_model_cant_take_is_told_as_such(tmp_path):
    saved(tmp_path, tiny_vit, image_processor_type="ViTImageProcessor", size=square(32))
    with pytest.raises(RequestError, match=r"pictures of 32 x 32 pixels .*correct `size`"):
        live(tmp_path, (3, 32, 32))
