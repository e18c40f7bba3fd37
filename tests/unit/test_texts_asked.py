"""Language models asked about texts: every token once, whatever stands beside it in a batch."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from language_models import SENTENCES, language_model, text_classifier

import bequest
from bequest.build.batches import by_length
from bequest.build.completions import completions
from bequest.build.likelihood import likelihoods
from bequest.build.models._user import UserModel
from bequest.core.errors import RequestError
from bequest.core.find import find
from bequest.core.live import Texts
from bequest.lazy import torch
from bequest.methods.continual._layers import representations

PIECES = [f"{SENTENCES[n % 4]} {'again ' * n}{n}" for n in range(9)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return language_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def model(folder):
    return find("models", "hf")(path=str(folder)).build((), "text", ())


def test_a_likelihood_does_not_depend_on_the_texts_beside_it(model):
    texts = Texts(tuple(PIECES), tuple(f"about {n}:" for n in range(9)), closed=True)
    together = likelihoods(model, texts)
    turned = likelihoods(model, texts[list(range(8, -1, -1))])
    alone = [likelihoods(model, texts[n : n + 1]) for n in range(9)]
    assert len(list(by_length(texts))) < 9
    for name, values in together.items():
        assert values.tolist() == pytest.approx([one[name][0] for one in alone], rel=1e-5)
        assert values.tolist() == pytest.approx(turned[name][::-1].tolist(), rel=1e-5)


def test_every_token_of_a_text_longer_than_the_window_counts_once(model):
    long = " ".join(PIECES) * 3
    (tokens,) = model.tokenizer([long], add_special_tokens=False)["input_ids"]
    assert len(tokens) > 5 * model.longest
    found = likelihoods(model, Texts((long, "short")))
    assert found["tokens"][0] == len(tokens)
    assert found["bytes"].tolist() == [len(long.encode()), 5]


def test_an_end_counts_where_a_text_is_closed(model):
    one, other = (likelihoods(model, Texts(("a text",), ("a prompt",), closed))
                  for closed in (False, True))  # fmt: skip
    assert other["tokens"] == one["tokens"] + 1
    assert other["text_nll"] > one["text_nll"]


def test_completions_stand_in_the_order_of_their_prompts(model):
    prompts = ["the cat", "a dog ran over", "1", "the cat sat on the mat and looked"]
    together = completions(model, prompts, 6)
    assert list(together) == [completions(model, [prompt], 6)[0] for prompt in prompts]
    assert len(set(together)) > 1


def test_modes_are_as_they_were_after_asking(model):
    model.module.train()
    completions(model, ["a"], 2)
    likelihoods(model, Texts(("a",)))
    assert model.module.training
    model.module.eval()


def test_batches_leave_room_for_what_is_written():
    texts = Texts(("a" * 10, "b" * 20, "c", "d" * 10))
    assert [rows.tolist() for rows in by_length(texts, 40)] == [[1, 0], [3, 2]]
    sizes = [len(rows) for rows in by_length(texts, 60, more=20)]
    assert sum(sizes) == 4
    assert max(sizes) == 2


class Counting:
    """A classifier whose logits are the lengths of texts; remembers what it was asked."""

    answers, labels = frozenset({"logits"}), ("bad", "good")

    def __init__(self):
        self.module, self.asked = torch.nn.Identity(), []

    def logits(self, inputs):
        self.asked.append(list(map(len, inputs.texts)))
        return torch.tensor([[0.0, float(len(text))] for text in inputs.texts])


def moods(place):
    rows = [{"text": "word " * (1 + n * 37 % 400), "label": ("bad", "good")[n % 2]}
            for n in range(60)]  # fmt: skip
    (place / "moods.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return {"use": "text", "path": str(place / "moods.jsonl")}


def test_classified_texts_are_asked_about_by_length_and_stand_in_their_order(tmp_path):
    task = find("tasks", "text")(path=moods(tmp_path)["path"], test=0.5).load("moods")
    model = Counting()
    found = task.record(model, 512)
    assert len(model.asked) > 1
    assert all(max(batch) * len(batch) <= 8192 for batch in model.asked)
    sizes = [len(text) for text in task.splits["test"].inputs.texts]
    confidence = torch.tensor([[0.0, float(size)] for size in sizes]).softmax(dim=1)[:, 1]
    assert found.columns["confidence"].tolist() == pytest.approx(confidence.tolist())
    assert found.columns["label"].tolist() == task.splits["test"].targets.tolist()


@pytest.mark.parametrize("method", ["replay", "ewc"])
@pytest.mark.parametrize("heads", ["shared", "per_task"])
def test_continual_methods_learn_labels_of_texts(tmp_path, method, heads):
    student = {"use": "hf", "path": str(text_classifier(tmp_path / "model")), "longest": 8}
    task = moods(tmp_path)
    recipe = {
        "models": {"student": student},
        "tasks": {"one": task, "two": {**task, "split_seed": 1}},
        "method": {"use": method, "heads": heads},
        "fit": {"steps": 2, "batch_size": 4},
    }
    done = bequest.run(recipe, out=tmp_path / "run")
    assert np.isfinite(done.matrix.value("accuracy", len(done.matrix.rows) - 1, "one").value)


def test_layers_are_not_looked_at_through_padding(tmp_path):
    model = find("models", "hf")(path=str(text_classifier(tmp_path))).build((), "text", ())
    with pytest.raises(RequestError, match="their padding would count"):
        representations(model, {}, Texts(("a",)))


def test_a_function_of_the_users_own_is_given_texts(tmp_path, monkeypatch):
    (tmp_path / "sizes_of_texts.py").write_text(
        "import torch\n\n"
        "class Sizes(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.layer = torch.nn.Linear(1, 2)\n\n"
        "    def forward(self, texts):\n"
        "        return self.layer(torch.tensor([[float(len(text))] for text in texts.texts]))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    spec = UserModel(path="sizes_of_texts:Sizes")
    model = spec.build((), "text", ("bad", "good"))
    assert model.logits(Texts(("a", "bc", "d"))).shape == (3, 2)
    with pytest.raises(RequestError, match="can't take inputs of shape"):
        spec.build((4,), "features", ("bad", "good"))


@pytest.fixture(scope="module")
def done(folder, tmp_path_factory):
    place = tmp_path_factory.mktemp("work")
    facts = [{"question": f"{n}?", "answer": f"it is {n}"} for n in range(8)]
    (place / "facts.json").write_text("\n".join(map(json.dumps, facts)))
    (place / "docs.jsonl").write_text("\n".join(json.dumps({"text": piece}) for piece in PIECES))
    recipe = {
        "schema": 1,
        "models": {"student": {"use": "hf", "path": str(folder)}},
        "tasks": {
            "docs": {"use": "language", "path": str(place / "docs.jsonl"), "test": 0.4},
            "facts": {"use": "qa", "path": str(place / "facts.json"), "generate": 5,
                      "purpose": "probe"},
            "story": {"use": "complete", "prompts": ["a cat", "</script><b>a dog"], "tokens": 4,
                      "temperature": 1.0, "draws": 2},
        },
        "method": {"use": "finetune"},
        "fit": {"epochs": 1, "batch_size": 4, "optimizer": {"lr": 0.01}},
        "gate": ["perplexity(docs) <= 1000000", "log_perplexity(docs) vs given.student <= 5"],
    }  # fmt: skip
    return bequest.run(recipe, out=place / "run")


def test_a_run_keeps_every_transcript(done):
    table = pq.read_table(done.path / "transcripts.parquet").to_pylist()
    assert len(table) == 2 * (8 + 2 * 2)
    fact = next(line for line in table if line["task"] == "facts")
    assert fact["stage"] == "given.student"
    assert fact["expected"].startswith("it is ")
    assert fact["prompt"].endswith("?\nAnswer:")
    story = [line for line in table if line["task"] == "story"]
    assert {line["draw"] for line in story} == {0, 1}
    assert {line["expected"] for line in story} == {None}
    assert "transcript" not in pq.read_schema(done.path / "outcomes.parquet").names


def test_the_matrix_the_gate_and_the_page_know_texts(done):
    assert done.verdict.passed
    written = json.loads((done.path / "metrics.json").read_text())
    metrics = {cell["metric"] for cell in written["cells"]}
    assert {"perplexity", "log_perplexity", "bits_per_byte", "answer_probability", "exact_match",
            "rouge_l", "rouge_l_f1", "repetition"} <= metrics  # fmt: skip
    assert "cross_entropy" not in metrics
    page = (done.path / "report.html").read_text()
    assert "What was written" in page
    assert "&lt;/script&gt;&lt;b&gt;a dog" in page
    assert page.count("</script>") == 2


def test_texts_whose_label_flipped_are_shown(tmp_path):
    place = text_classifier(tmp_path / "model")
    rows = [{"text": f"<i>{SENTENCES[n % 4]}</i> {n}", "label": ("bad", "good")[n % 2]}
            for n in range(40)]  # fmt: skip
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    recipe = {
        "schema": 1,
        "models": {"student": {"use": "hf", "path": str(place)}},
        "tasks": {"mood": {"use": "text", "path": str(tmp_path / "t.jsonl")}},
        "method": {"use": "finetune"},
        "fit": {"epochs": 1, "optimizer": {"lr": 0.1}},
    }
    done = bequest.run(recipe, out=tmp_path / "run")
    shown = json.loads((done.path / "exhibits" / "exhibits.json").read_text())["samples"]["mood"]
    assert {one["kind"] for one in shown.values()} == {"text"}
    page = (done.path / "report.html").read_text()
    assert "<blockquote>&lt;i&gt;" in page
    assert not (done.path / "transcripts.parquet").exists()
    assert "What was written" not in page
    assert np.isfinite(done.matrix.value("accuracy", 0, "mood").value)
