"""TRLM: what is scored and in which order, what is chosen, and how documents are searched."""

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import language_models
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

import bequest
from bequest.build.likelihood import likelihoods
from bequest.build.models.reading import Reading
from bequest.build.models.transformer import Transformer
from bequest.build.tasks.cite import Cite
from bequest.core.errors import RequestError
from bequest.core.live import Ragged, Texts
from bequest.methods.reason._choosing import Choosing, Generator, Pool
from bequest.methods.reason._scorers import scorers_of
from bequest.methods.reason._searching import Searching
from bequest.methods.reason.trlm import Trlm

WORDINGS = {"forward": (" is said of ", " it"), "backward": ("Q: ", "? A:")}
ASKED = ["the cat", "a dog ran over the hill", "numbers"]
GIVEN = ["it sat on the mat", "old", "1 2 3 are read as they stand"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = language_models.language_model(tmp_path_factory.mktemp("trlm") / "model")
    return bequest_model(folder)


def bequest_model(folder):
    from bequest.build.models.hf import Hf

    return Hf(path=str(folder)).build((), "text", ())


def ids(model, text):
    return model.tokenizer(text, add_special_tokens=False)["input_ids"]


def logprob_of(model, row):
    """Log-probability of each token of a row but the first."""
    with torch.inference_mode():
        scores = model.module(torch.tensor([row])).logits[0].double().log_softmax(dim=1)
    return [float(scores[place, token]) for place, token in enumerate(row[1:])]


def test_forward_scores_the_question_alone_given_the_answer(model):
    (fo,) = scorers_of([model], WORDINGS)
    assert fo.name == "fo"
    found = fo.scores(ASKED, GIVEN)
    for question, answer, score in zip(ASKED, GIVEN, found, strict=True):
        given, asked = ids(model, answer + " it"), ids(model, " is said of " + question)
        row = [model.tokenizer.bos_token_id, *given, *asked]
        whole, context = sum(logprob_of(model, row)), sum(logprob_of(model, row[: -len(asked)]))
        assert score == pytest.approx(whole - context, abs=1e-4)


def test_backward_is_forward_on_tokens_turned_round(model):
    (ba,) = scorers_of([replace(model, order="backward")], WORDINGS)
    assert ba.name == "ba"
    found = ba.scores(ASKED, GIVEN)
    for question, answer, score in zip(ASKED, GIVEN, found, strict=True):
        asked, given = ids(model, "Q: " + question), ids(model, "? A:" + answer)
        row = [model.tokenizer.bos_token_id, *given[::-1], *asked[::-1]]
        assert score == pytest.approx(sum(logprob_of(model, row)[len(given) :]), abs=1e-4)


def test_a_score_does_not_depend_on_its_batch(model):
    (fo,) = scorers_of([model], WORDINGS)
    alone = [float(fo.scores([q], [a])[0]) for q, a in zip(ASKED, GIVEN, strict=True)]
    assert fo.scores(ASKED, GIVEN) == pytest.approx(alone, abs=1e-4)


def test_a_model_taught_both_ways_alternates_while_it_learns_and_gives_two_scorers(model):
    both = replace(model, order="both")
    texts = Texts(("the cat sat", "the cat sat"))
    both.module.train()
    encoded = both.encoded(texts)
    both.module.eval()
    assert encoded.ids[0, 1:].tolist() == encoded.ids[1, 1:].flip(0).tolist()
    assert (both.encoded(texts).ids[0] == both.encoded(texts).ids[1]).all()
    names = [one.name for one in scorers_of([both, model, model], WORDINGS)]
    assert names == ["foba-forward", "foba-reverse", "fo1", "fo2"]
    assert both.reads != model.reads


def test_training_backward_has_the_loss_of_forward_training_on_turned_tokens(model):
    turned = replace(model, order="backward").encoded(Texts(("a dog ran", "où est"), closed=True))
    for row, text in zip(turned.ids.tolist(), ("a dog ran", "où est"), strict=True):
        length = len(ids(model, text)) + 2
        expected = [model.tokenizer.bos_token_id, *ids(model, text)[::-1]]
        assert row[:length] == [*expected, model.tokenizer.eos_token_id]


def test_what_is_written_backward_is_turned_before_it_is_decoded(model):
    class Remembering(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def generate(self, input_ids, attention_mask, generation_config, logits_processor):
            self.asked = input_ids
            new = torch.tensor([ids(model, "où est le chat ?")[::-1]])
            return torch.cat([input_ids, new, torch.tensor([[model.tokenizer.eos_token_id]])], 1)

    backward = replace(model, module=Remembering(), order="backward")
    assert backward.complete(["the mat"], 20) == ["où est le chat ?"]
    assert backward.module.asked[0, 1:].tolist() == ids(model, "the mat")[::-1]


def test_a_uniform_model_holds_all_equal_and_the_first_is_chosen(model):
    flat = replace(model, module=language_models.LlamaForCausalLM(model.module.config).eval())
    for weight in flat.module.parameters():
        torch.nn.init.zeros_(weight)
    (fo,) = scorers_of([flat], WORDINGS)
    tokens = len(ids(model, " is said of a dog"))
    found = fo.scores(["a dog"] * 3, GIVEN)
    assert found == pytest.approx([-tokens * math.log(flat.module.config.vocab_size)] * 3, rel=1e-6)
    assert chosen(["one", "two"], lambda asked, given: np.zeros(len(given))) == "one"


def test_of_one_joint_model_reverse_and_forward_scores_differ_by_the_priors():
    rng = np.random.default_rng(0)
    joint = rng.random((5, 7))
    joint /= joint.sum()
    question, answer = joint.sum(axis=1, keepdims=True), joint.sum(axis=0, keepdims=True)
    forward, reverse = np.log(joint / question), np.log(joint / answer)
    assert np.allclose(forward + np.log(question), reverse + np.log(answer), atol=1e-12)


def test_forward_ranking_depends_on_length_and_reverse_ranking_does_not(model):
    long, short = "the cat sat on the mat and looked at the dog", "cat"
    (fo,) = scorers_of([model], WORDINGS)
    told = likelihoods(model, Texts((long, short), ("a dog", "a dog")))
    summed = -told["text_nll"]
    assert summed[1] > summed[0]  # by length alone
    per_token = fo.likeliest(["a dog", "a dog"], [long, short])
    assert abs(per_token[0] - per_token[1]) < abs(summed[0] - summed[1]) / 4
    scores, tokens = fo.scores(["a dog"] * 2, [long, short]), len(ids(model, " is said of a dog"))
    assert (scores > scores[::-1]).tolist() == (scores / tokens > scores[::-1] / tokens).tolist()


def test_a_question_that_is_too_long_for_its_scorer_is_said(model):
    (fo,) = scorers_of([model], WORDINGS)
    with pytest.raises(RequestError, match="tokens together"):
        fo.scores(["a dog"], ["the cat " * 40])


def contains(word):
    return lambda asked, given: np.array([float(word in text.split()) for text in given])


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8])
@pytest.mark.parametrize("way", ["linear", "binary", "exclusion"])
def test_every_search_finds_the_sentence_that_the_score_is_about(way, size):
    page = [f"s{number}" for number in range(size)]
    for place in range(size):
        found = Searching(None, contains(f"s{place}"), way).prefer(["?"], [page])
        assert int(np.argmax(found.values)) == place
        most = {"linear": size, "exclusion": size}.get(way, 2 * math.ceil(math.log2(size)))
        assert found.calls[0] <= most


def test_binary_search_takes_the_second_half_of_equals_and_ends_at_its_granularity():
    page = [str(number) for number in range(8)]
    search = Searching(None, contains("none"), "binary", granularity=2)
    found = search.prefer(["?", "?"], [page, page[:2]])
    assert found.values.tolist() == [0, 0, 0, 0, 1, 1, 2, 2, 0, 0]
    assert found.lengths.tolist() == [8, 2]
    assert found.calls.tolist() == [4, 0]


class Inventor:
    """Says numbered answers; counts how often it is asked."""

    module = torch.nn.Linear(1, 1)

    def __init__(self, said):
        self.said, self.asked = said, 0

    def complete(self, prompts, longest, temperature):
        self.asked += 1
        return [self.said[number % len(self.said)] for number in range(len(prompts))]


def generator_of(said, **settings):
    kept = {}

    def answered(name, asked, models, make):
        return kept.setdefault(asked, make()) if asked not in kept else kept[asked]

    def told(part, parts):
        assert 0 < part <= parts

    settings = Trlm(samples=len(said), **settings)
    return Generator(SimpleNamespace(answered=answered, told=told), Inventor(said), settings)


def chosen(said, judge, **settings):
    return Choosing(generator_of(said, **settings), judge).complete(["of what?"])[0]


def test_answers_are_drawn_once_for_all_and_cut_where_they_end():
    generator = generator_of([" one\nmore", "two ", ""])
    assert Choosing(generator, None).complete(["a", "b"]) == ["one", "one"]
    assert Pool(generator).propose(["a", "b"]) == [["one", "two", ""]] * 2
    assert generator.model.asked == 2  # once a question


def test_an_empty_answer_comes_last_and_a_copy_where_that_is_asked_for():
    def long(asked, given):
        return np.array([-float(len(text)) for text in given])

    assert chosen(["three", "", "what"], long) == "what"
    assert chosen(["three", "", "What of"], long, without_copies=True) == "three"


def test_the_papers_prompts_are_the_defaults():
    told = Trlm()
    assert (told.rerank_backward.scoring, told.rerank_backward.conditioning) == (
        "Question: ",
        "? Answer:",
    )
    assert (told.rerank_forward.scoring, told.rerank_forward.conditioning) == (
        "is the answer to",
        "",
    )
    assert told.cite_backward.conditioning == "is summarized by"
    assert told.cite_forward.conditioning == " is a summary of "


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def sentence(document, text, highlight=""):
    return {"document": document, "sentence": text, "highlight": highlight}


def test_a_file_of_sentences_becomes_highlights_with_their_documents(tmp_path):
    rows = [sentence("a", f"s{number}", "h" if number == 4 else "") for number in range(5)]
    rows += [sentence("a", "s0"), sentence("b", "alone", "h2"), sentence("c", "x", "hx"),
             sentence("c", "y", "hy")]  # fmt: skip
    task = Cite(path=write(tmp_path / "f.jsonl", rows), sentences=3).load("cite")
    assert [(each.highlight, task.pages[each.document]) for each in task.queries] == [
        ("h", ("s3", "s4")),
        ("hx", ("x", "y")),
        ("hy", ("x", "y")),
    ]
    assert task.notes == ("1 documents or ends of documents with one sentence were left out",)
    model = Searching(Inventor([]), contains("s4"), "linear")
    found = task.record(model, 1)
    assert found.columns["correct"].tolist() == [1, 1, 0]
    assert found.columns["reciprocal_rank"].tolist() == [1, 1, 0.5]
    assert found.columns["calls"].tolist() == [2, 2, 2]
    assert found.transcript == ("s4", "x", "x")
    first, second, third = found.units
    assert first != second == third


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([sentence("a", "one", "h"), sentence("b", "two")], "no highlight in a document of two"),
        ([sentence("a", " ", "h"), sentence("a", "two")], "empty `sentence`"),
        ([{"document": "a", "sentence": "b"}], "has no `highlight`"),
        ([], "holds no records"),
    ],
)
def test_files_without_a_choice_are_said_before_work(tmp_path, rows, said):
    with pytest.raises(RequestError, match=said):
        Cite(path=write(tmp_path / "f.jsonl", rows)).load("cite")


WORDNET = """  1 licence
00000001 03 n 02 dog 0 hound(p) 0 001 @ 00000003 n 0000 | barks; and runs; "the dog barked"; "a dog"
00000002 03 n 01 wild_cat 0 001 @i 00000003 n 0000 | a cat that is wild
00000003 03 n 01 animal 0 000 | lives
"""
WORDNET = WORDNET.replace("00000003", f"{WORDNET.index('00000003 03'):08}")  # bytes before it


def test_data_files_of_wordnet_are_records(tmp_path):
    from bequest.build.documents import records

    place = tmp_path / "data.noun"
    place.write_text(WORDNET)
    (tmp_path / "lexnames").write_text("03\tnoun.Tops\t1\n")
    found = [one.fields for one in records(str(place))]
    assert found[0] == {
        "word": "dog", "words": "dog, hound", "gloss": "barks; and runs", "short": "barks",
        "example": "the dog barked", "kind": "animal", "field": "noun.Tops", "half": "odd",
    }  # fmt: skip
    assert [one["word"] for one in found] == ["dog", "wild cat", "animal"]
    assert [one.fields["word"] for one in records(str(place), {"kind": "animal"})] == [
        "dog",
        "wild cat",
    ]
    place.write_text("nothing\n")
    with pytest.raises(RequestError, match="not a data file of WordNet"):
        list(records(str(place)))


def test_a_model_from_scratch_learns_its_vocabulary_from_a_text(tmp_path):
    place = tmp_path / "text.txt"
    place.write_text("the cat sat on the mat\n" * 50)
    inner = {"use": "transformer", "path": str(place), "width": 16, "vocabulary": 300}
    spec = Reading(of=inner, order="backward")
    torch.manual_seed(0)
    model = spec.build((), "text", ())
    assert model.order == "backward"
    found = model.logprob(Texts(("the cat", "Größe")))
    assert isinstance(found, Ragged)
    assert found.lengths.tolist()[0] == 2
    with pytest.raises(RequestError, match="takes texts"):
        Transformer(path=str(place)).build((3,), "features", ())
    said = [problem.what for problem in Transformer(path=str(place), width=20, heads=8).check()]
    assert said == ["a width of 20 can't be shared among 8 heads"]


def test_only_language_models_have_an_order_of_reading():
    with pytest.raises(RequestError, match="no language model"):
        Reading(of={"use": "mlp"}).build((4,), "features", ("a", "b"))


def recipe(path, scorers, generator=True):
    roles = {"scorer": scorers, **({"generator": "lm"} if generator else {})}
    return {
        "models": {"lm": {"use": "hf", "path": str(path)}},
        "tasks": {"asked": {"use": "complete", "prompts": ["the cat", "a dog"], "tokens": 3}},
        "steps": [{"name": "ask", "method": {"use": "trlm", "samples": 3}, "models": roles}],
        "seeds": [0],
    }


def test_every_scorer_is_a_stage_of_its_own_and_all_choose_among_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = language_models.language_model(tmp_path / "lm")
    run = bequest.run(recipe(folder, ["lm"]), out="run")
    rows = [row for row in run.matrix.rows if row.step == "ask"]
    assert [row.at["scorer"] for row in rows] == ["single", "self", "oracle", "fo"]
    said = {}
    for line in pq.read_table(run.path / "transcripts.parquet").to_pylist():
        said.setdefault(line["stage"].removeprefix("ask."), []).append(line["answer"])
    for name in ("single", "self", "fo"):
        for one, pool in zip(said[name], said["oracle"], strict=True):
            assert one in pool.split("\n")
    assert (run.path / "report.html").exists()


def test_without_anybody_to_answer_it_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = language_models.language_model(tmp_path / "lm")
    with pytest.raises(RequestError, match="role `generator`"):
        bequest.run(recipe(folder, ["lm"], generator=False), out="run")
