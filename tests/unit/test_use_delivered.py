"""What a run delivers can be used outside it, and answers there as it was measured."""

from __future__ import annotations

import json
import shutil

import language_models
import numpy as np
import peft
import pytest
import torch
import transformers
from PIL import Image

from bequest.build.delivering import Made, deliver
from bequest.build.heads import head_names, headed, one_head_per_task
from bequest.build.models.saved import Saved
from bequest.core.errors import RequestError
from bequest.core.find import find
from bequest.core.live import Texts

# peft asks transformers for what the latter is about to rename.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")
TEXTS = Texts(tuple(language_models.SENTENCES))
SHAPE = (3, 8, 8)


def built(spec, shape=(), kind="text", labels=("x", "y", "z")):
    """The model of a spec, with weights that were moved from those it was given."""
    torch.manual_seed(0)
    settings = {name: value for name, value in spec.items() if name != "use"}
    model = find("models", spec["use"])(**settings).build(shape, kind, labels)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.module.parameters():
            if weight.requires_grad:
                weight += 0.02 * torch.randn(weight.shape, generator=generator)
    return model


def delivered(folder, model, spec, shape=(), kind="text", given=None):
    deliver(folder, model, Made(spec, shape, kind, given))
    return folder


def asked(model, inputs=TEXTS):
    name = next(one for one in ("logits", "embed", "logprob") if one in model.answers)
    with torch.no_grad():
        answer = getattr(model, name)(inputs)
    return answer.values if name == "logprob" else answer


def tokens(folder, texts=TEXTS.texts):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")


def close(one, other):
    return torch.allclose(one, other, atol=1e-6)


def plain(folder):
    """Whether the folder answers alike once the one it was made from is gone."""
    return Saved(path=str(folder)).restore()


def test_a_classifier_of_texts_is_read_by_transformers_alone(tmp_path):
    language_models.text_classifier(tmp_path / "given")
    spec = {"use": "hf", "path": str(tmp_path / "given"), "new_head": True, "longest": 8}
    model = built(spec)
    folder = delivered(tmp_path / "out", model, spec)
    shutil.rmtree(tmp_path / "given")
    kind = transformers.AutoModelForSequenceClassification
    other = kind.from_pretrained(folder).eval()
    assert other.config.id2label == {0: "x", 1: "y", 2: "z"}
    with torch.no_grad():  # cut off at eight tokens, as it was here
        assert close(other(**tokens(folder)).logits, asked(model))
    assert close(asked(plain(folder)), asked(model))
    assert plain(folder).labels == ("x", "y", "z")


def test_a_language_model_is_read_by_transformers_alone(tmp_path):
    language_models.language_model(tmp_path / "given")
    (tmp_path / "given" / "generation_config.json").write_text('{"temperature": 0.7, "top_p": 0.5}')
    spec = {"use": "hf", "path": str(tmp_path / "given"), "longest": 32}
    model = built(spec)
    folder = delivered(tmp_path / "out", model, spec)
    shutil.rmtree(tmp_path / "given")
    other = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    ids = torch.tensor([[0, 5, 9, 17]])
    with torch.no_grad():
        assert close(other(input_ids=ids).logits, model.module(input_ids=ids).logits)
    assert other.get_output_embeddings().weight is other.get_input_embeddings().weight
    assert other.generation_config.top_p == 0.5
    again = plain(folder)
    assert again.longest == 32
    assert torch.equal(asked(again), asked(model))
    assert again.complete(["the cat"], 4) == model.complete(["the cat"], 4)


def test_a_model_from_scratch_needs_its_text_no_more(tmp_path):
    (tmp_path / "text.txt").write_text("\n".join(TEXTS.texts))
    inner = {"use": "transformer", "path": str(tmp_path / "text.txt"), "vocabulary": 300,
             "width": 16, "layers": 1, "heads": 2, "longest": 32}  # fmt: skip
    spec = {"use": "reading", "of": inner, "order": "backward"}
    model = built(spec)
    folder = delivered(tmp_path / "out", model, spec)
    (tmp_path / "text.txt").unlink()
    transformers.AutoModelForCausalLM.from_pretrained(folder)
    again = plain(folder)
    assert (again.order, again.longest) == ("backward", 32)
    assert torch.equal(asked(again), asked(model))


def test_a_smaller_copy_needs_its_parent_no_more(tmp_path):
    language_models.language_model(tmp_path / "given", layers=3)
    spec = {"use": "smaller", "of": {"use": "hf", "path": str(tmp_path / "given")}, "layers": 2}
    model = built(spec)
    folder = delivered(tmp_path / "out", model, spec)
    shutil.rmtree(tmp_path / "given")
    assert transformers.AutoModelForCausalLM.from_pretrained(folder).config.num_hidden_layers == 2
    assert torch.equal(asked(plain(folder)), asked(model))


def embedder(folder):
    """A folder of sentence-transformers: the first token's vector, made one long."""
    language_models.embedder(folder)
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    listed = [{"idx": place, "name": str(place), "path": path,
               "type": f"sentence_transformers.models.{kind}"}
              for place, (path, kind) in enumerate(kinds)]  # fmt: skip
    (folder / "modules.json").write_text(json.dumps(listed))
    (folder / "2_Normalize").mkdir()
    (folder / "1_Pooling").mkdir()
    told = {"word_embedding_dimension": 16, "pooling_mode_cls_token": True,
            "pooling_mode_mean_tokens": False}  # fmt: skip
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(told))


def test_an_embedder_is_read_by_sentence_transformers_alone(tmp_path):
    sentences = pytest.importorskip("sentence_transformers")
    embedder(tmp_path / "given")
    spec = {"use": "hf", "path": str(tmp_path / "given"), "longest": 8}
    model = built(spec)
    folder = delivered(tmp_path / "out", model, spec)
    shutil.rmtree(tmp_path / "given")
    other = sentences.SentenceTransformer(str(folder), device="cpu")
    assert close(torch.tensor(other.encode(list(TEXTS.texts))), asked(model))
    assert close(asked(plain(folder)), asked(model))


def vit(folder, **processor):
    config = transformers.ViTConfig(image_size=8, patch_size=4, hidden_size=8, intermediate_size=8,
                                    num_hidden_layers=1, num_attention_heads=2,
                                    id2label={0: "cat", 1: "dog"})  # fmt: skip
    torch.manual_seed(3)
    transformers.ViTForImageClassification(config).save_pretrained(folder)
    if processor:
        (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


@pytest.mark.parametrize("processor", [
    {},
    {"image_processor_type": "ViTImageProcessor", "size": {"height": 8, "width": 8},
     "image_mean": [0.5] * 3, "image_std": [0.25] * 3, "do_normalize": True},
])  # fmt: skip
def test_a_classifier_of_pictures_is_read_by_transformers_alone(tmp_path, processor):
    spec = {"use": "hf", "path": str(vit(tmp_path / "given", **processor))}
    model = built(spec, SHAPE, "image")
    folder = delivered(tmp_path / "out", model, spec, SHAPE, "image")
    shutil.rmtree(tmp_path / "given")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    pictures = [Image.fromarray(one) for one in pixels]
    other = transformers.AutoModelForImageClassification.from_pretrained(folder).eval()
    reader = transformers.AutoImageProcessor.from_pretrained(folder)
    inputs = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        assert close(other(**reader(pictures, return_tensors="pt")).logits, asked(model, inputs))
    assert other.config.id2label == {0: "cat", 1: "dog"}
    assert close(asked(plain(folder), inputs), asked(model, inputs))


def test_pictures_of_another_size_are_resized_as_they_were(tmp_path):
    spec, shape = {"use": "hf", "path": str(vit(tmp_path / "given"))}, (3, 12, 12)
    model, inputs = built(spec, shape, "image"), torch.rand(2, 3, 12, 12)
    folder = delivered(tmp_path / "out", model, spec, shape, "image")
    assert torch.equal(asked(plain(folder), inputs), asked(model, inputs))


def test_adapters_are_read_by_peft_alone(tmp_path):
    language_models.language_model(tmp_path / "given")
    spec = {"use": "lora", "of": {"use": "hf", "path": str(tmp_path / "given"), "longest": 32},
            "rank": 2, "alpha": 3.0}  # fmt: skip
    model, given = built(spec), built(spec)
    folder = delivered(tmp_path / "out", model, spec, given=given)
    assert not (folder / "model.safetensors").exists()
    told = json.loads((folder / "adapter_config.json").read_text())
    assert told["base_model_name_or_path"] == str(tmp_path / "given")
    base = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "given")
    other = peft.PeftModel.from_pretrained(base, folder).eval()
    ids = torch.tensor([[0, 5, 9, 17]])
    with torch.no_grad():
        assert close(other(input_ids=ids).logits, model.module(input_ids=ids).logits)
        assert not close(other(input_ids=ids).logits, base_logits(tmp_path / "given", ids))
    assert torch.equal(asked(plain(folder)), asked(model))


def base_logits(folder, ids):
    return transformers.AutoModelForCausalLM.from_pretrained(folder)(input_ids=ids).logits


def test_a_new_head_goes_along_with_its_adapters(tmp_path):
    language_models.text_classifier(tmp_path / "given")
    of = {"use": "hf", "path": str(tmp_path / "given"), "new_head": True}
    spec = {"use": "lora", "of": of, "rank": 2}
    model, given = built(spec), built(spec)
    folder = delivered(tmp_path / "out", model, spec, given=given)
    kind = transformers.AutoModelForSequenceClassification
    base = kind.from_pretrained(tmp_path / "given", num_labels=3, ignore_mismatched_sizes=True)
    other = peft.PeftModel.from_pretrained(base, folder).eval()
    with torch.no_grad():
        assert close(other(**tokens(folder)).logits, asked(model))
    assert torch.equal(asked(plain(folder)), asked(model))


def test_adapters_on_another_model_than_their_own_are_refused(tmp_path):
    language_models.language_model(tmp_path / "given")
    spec = {"use": "lora", "of": {"use": "hf", "path": str(tmp_path / "given")}, "rank": 2}
    folder = delivered(tmp_path / "out", built(spec), spec)
    language_models.language_model(tmp_path / "given", seed=1)
    with pytest.raises(RequestError, match="its weights are others"):
        plain(folder)
    shutil.rmtree(tmp_path / "given")
    assert "doesn't exist" in Saved(path=str(folder)).check()[0].what


def test_adapters_on_a_changed_model_bring_it_along(tmp_path):
    language_models.language_model(tmp_path / "given")
    spec = {"use": "lora", "of": {"use": "hf", "path": str(tmp_path / "given")}, "rank": 2}
    model, given = built(spec), built(spec)
    with torch.no_grad():
        model.module.get_input_embeddings().weight += 0.1
    folder = delivered(tmp_path / "out", model, spec, given=given)
    shutil.rmtree(tmp_path / "given")
    base = transformers.AutoModelForCausalLM.from_pretrained(folder / "base")
    other = peft.PeftModel.from_pretrained(base, folder).eval()
    ids = torch.tensor([[0, 5, 9, 17]])
    with torch.no_grad():
        assert close(other(input_ids=ids).logits, model.module(input_ids=ids).logits)
    assert torch.equal(asked(plain(folder)), asked(model))


def test_modules_behind_an_encoder_are_delivered_as_they_are_now(tmp_path):
    sentences = pytest.importorskip("sentence_transformers")
    modules = sentences.sentence_transformer.modules
    language_models.embedder(tmp_path / "bert")
    parts = [modules.Transformer(str(tmp_path / "bert")), modules.Pooling(16, "max"),
             modules.Dense(16, 4)]  # fmt: skip
    sentences.SentenceTransformer(modules=parts, device="cpu").save(str(tmp_path / "given"))
    spec = {"use": "hf", "path": str(tmp_path / "given")}
    model = built(spec)
    folder = delivered(tmp_path / "out", model, spec)
    shutil.rmtree(tmp_path / "given")
    other = sentences.SentenceTransformer(str(folder), device="cpu")
    assert close(torch.tensor(other.encode(list(TEXTS.texts))), asked(model))
    assert close(asked(plain(folder)), asked(model))


@pytest.mark.parametrize("pooled", ["by mean", "as its folder says"])
def test_a_layer_behind_an_encoder_is_read_by_sentence_transformers_alone(tmp_path, pooled):
    sentences = pytest.importorskip("sentence_transformers")
    make = language_models.embedder if pooled == "by mean" else embedder
    make(tmp_path / "given")
    of = {"use": "hf", "path": str(tmp_path / "given"), "longest": 8}
    spec = {"use": "embedder", "of": of, "width": 4}
    model = built(spec)
    folder = delivered(tmp_path / "out", model, spec)
    shutil.rmtree(tmp_path / "given")
    other = sentences.SentenceTransformer(str(folder), device="cpu")
    assert close(torch.tensor(other.encode(list(TEXTS.texts))), asked(model))


@pytest.mark.parametrize("inner", ["files", "drawn"])
def test_layers_behind_an_encoder_are_complete_with_it(tmp_path, inner):
    embedder(tmp_path / "given")
    files = {"use": "hf", "path": str(tmp_path / "given")}
    spec = {"use": "embedder", "of": files if inner == "files" else {"use": "mlp"}, "width": 4}
    place = ((), "text") if inner == "files" else ((5,), "features")
    inputs = TEXTS if inner == "files" else torch.rand(3, 5)
    model = built(spec, *place)
    folder = delivered(tmp_path / "out", model, spec, *place)
    shutil.rmtree(tmp_path / "given")
    assert (folder / "encoder" / "config.json").is_file() == (inner == "files")
    again = plain(folder)
    assert again.frozen == model.frozen
    assert torch.equal(asked(again, inputs), asked(model, inputs))


def test_heads_of_tasks_lie_beside_a_folder_that_answers_with_the_newest(tmp_path):
    language_models.text_classifier(tmp_path / "given")
    spec = {"use": "hf", "path": str(tmp_path / "given"), "new_head": True}
    model = one_head_per_task(built(spec))
    model.add("first", model.new_head(), ("x", "y"))
    model.add("second", model.new_head(), ("y", "z"))
    folder = delivered(tmp_path / "out", model, spec)
    shutil.rmtree(tmp_path / "given")
    assert head_names(model) == ("first", "second")
    again = headed(plain(folder))
    for task in ("first", "second"):
        assert close(asked(again.for_task(task)), asked(model.for_task(task)))
    kind = transformers.AutoModelForSequenceClassification
    with torch.no_grad():
        newest = kind.from_pretrained(folder).eval()(**tokens(folder)).logits
    assert close(newest, asked(model))


def test_a_delivered_model_is_made_of_once_more(tmp_path):
    language_models.language_model(tmp_path / "given")
    spec = {"use": "hf", "path": str(tmp_path / "given")}
    first = delivered(tmp_path / "first", built(spec), spec)
    again = {"use": "saved", "path": str(first)}
    model = built(again)
    second = delivered(tmp_path / "second", model, again)
    shutil.rmtree(tmp_path / "given")
    shutil.rmtree(first)
    assert torch.equal(asked(plain(second)), asked(model))


@pytest.mark.parametrize("use", ["cnn", "vit", "mlp"])
def test_own_networks_describe_themselves(tmp_path, use):
    spec = {"use": use}
    model = built(spec, SHAPE, "image")
    folder = delivered(tmp_path / "out", model, spec, SHAPE, "image")
    inputs = torch.rand(2, *SHAPE)
    assert torch.equal(asked(plain(folder), inputs), asked(model, inputs))
    told = json.loads((folder / "model.json").read_text())
    assert (told["form"], told["labels"]) == ("own", ["x", "y", "z"])


def test_changed_weights_are_noticed(tmp_path):
    language_models.language_model(tmp_path / "given")
    spec = {"use": "hf", "path": str(tmp_path / "given")}
    folder = delivered(tmp_path / "out", built(spec), spec)
    file = folder / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 4
    file.write_bytes(content)
    with pytest.raises(RequestError, match=r"model\.safetensors is damaged"):
        plain(folder)


def test_a_folder_may_be_moved(tmp_path):
    language_models.text_classifier(tmp_path / "given")
    spec = {"use": "hf", "path": str(tmp_path / "given")}
    model = built(spec)
    shutil.move(delivered(tmp_path / "out", model, spec), tmp_path / "elsewhere")
    assert close(asked(plain(tmp_path / "elsewhere")), asked(model))
