"""Questions as people keep them: JSON lists, several right answers, conversations."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bequest.build.chats import turns
from bequest.build.tasks.complete import Complete
from bequest.build.tasks.language import Language
from bequest.build.tasks.qa import Qa
from bequest.core.errors import RequestError
from bequest.lazy import torch


def path_of(folder, name, value):
    path = folder / name
    text = "\n".join(map(json.dumps, value)) if name.endswith("l") else json.dumps(value, indent=1)
    path.write_text(text, encoding="utf-8")
    return str(path)


def read(folder, records, name="q.jsonl", **settings):
    live = Qa(path=path_of(folder, name, records), **settings).load("q")
    texts = live.splits["test"].inputs
    return live, [texts.whole(row) for row in range(len(texts))]


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


FACTS = [{"question": "a?", "answer": "b"}, {"question": "c?", "answer": 7}]
PLAIN = {"template": "{question} ="}


def test_a_json_list_is_read_as_lines_are(tmp_path):
    _, listed = read(tmp_path, FACTS, "q.json", **PLAIN)
    _, lined = read(tmp_path, FACTS, "q.jsonl", **PLAIN)
    assert listed == lined == ["a? = b", "c? = 7"]


def test_repeated_questions_are_left_out_and_counted(tmp_path):
    live, texts = read(tmp_path, [*FACTS, FACTS[0], {"question": "a?", "answer": "x"}], **PLAIN)
    assert texts == ["a? = b", "c? = 7", "a? = x"]
    note = "1 questions that are there again with the same answer were left out"
    assert live.notes == (note,)
    assert read(tmp_path, FACTS)[0].notes == ()


class Sayer:
    """Says what it is told to, and finds every token equally likely."""

    answers = frozenset({"complete", "logprob"})
    labels = ()

    def __init__(self, *said):
        self.said, self.module = said, torch.nn.Linear(1, 1)

    def complete(self, prompts, longest, temperature):
        return list(self.said[: len(prompts)])

    def logprob(self, texts):
        from bequest.core.live import Ragged

        lengths = torch.tensor([len(text) for text in texts.texts])
        return Ragged(torch.full((int(lengths.sum()),), -0.5), lengths)


def test_of_several_right_answers_the_nearest_counts_and_the_first_is_learned(tmp_path):
    records = [{"question": "a?", "answer": ["the old harbour", "Lisbon", "Lisboa city"]}]
    live, texts = read(tmp_path, records, **PLAIN)
    assert texts == ["a? = the old harbour"]
    one = live.record(Sayer(" lisbon."), 1).columns
    assert (one["exact"].tolist(), one["rouge_l_recall"].tolist()) == ([1], [1.0])
    far = live.record(Sayer("the city"), 1).columns
    assert far["exact"].tolist() == [0]
    assert far["rouge_l_recall"].tolist() == [0.5]
    assert far["rouge_l_f1"] == pytest.approx([0.5])
    single, _ = read(tmp_path, [{"question": "a?", "answer": "the old harbour"}], **PLAIN)
    assert single.fingerprint != live.fingerprint
    assert np.array_equal(single.splits["test"].ids, live.splits["test"].ids)


def test_conversations_are_asked_answer_by_answer(tmp_path):
    chats = [
        {"messages": [user("a?"), assistant("b")]},
        {"messages": [{"role": "system", "content": "be brief"}, user("c?"), assistant("d"),
                      user([]) | {"content": [{"type": "text", "text": "e?"}]}, assistant("f"),
                      user("g?")]},
        {"messages": [user("nobody answers")]},
    ]  # fmt: skip
    live, texts = read(tmp_path, chats, **PLAIN)
    assert texts == [
        "a? = b",
        "system: be brief\nuser: c? = d",
        "system: be brief\nuser: c?\nassistant: d\nuser: e? = f",
    ]
    assert live.notes == (
        "1 conversations in which the assistant answers nothing were left out",)  # fmt: skip
    _, other = read(
        tmp_path, [{"chat": one["messages"]} for one in chats], messages="chat", **PLAIN
    )
    assert other == texts


def test_an_answer_with_nothing_before_it_is_no_question():
    assert turns([assistant("welcome"), user("a?"), assistant("b")], "here") == [
        ("assistant: welcome\nuser: a?", "b")]  # fmt: skip


def test_a_file_with_neither_is_told_by_its_columns(tmp_path):
    path = path_of(tmp_path, "q.jsonl", [{"query": "a?", "answer": "b"}])
    (problem,) = Qa(path=path).check()
    assert "has no `question`" in problem.what


def test_the_released_rule_for_words_is_a_setting(tmp_path):
    records = [{"question": "столица ?", "answer": "город Париж"}]
    live, _ = read(tmp_path, records)
    old, _ = read(tmp_path, records, as_released=True)
    said = Sayer("город Париж")
    assert live.record(said, 1).columns["rouge_l_recall"].tolist() == [1.0]
    assert old.record(said, 1).columns["rouge_l_recall"].tolist() == [0.0]
    assert old.record(said, 1).columns["exact"].tolist() == [1]
    assert old.fingerprint != live.fingerprint


def test_prompts_that_are_there_again_are_counted_and_empty_ones_refused(tmp_path):
    path = path_of(tmp_path, "p.jsonl", [{"prompt": text} for text in ("a", "b", "a")])
    assert Complete(path=path).load("p").notes == ("1 prompts that are there again were left out",)
    with pytest.raises(RequestError, match=r"p\.jsonl:2` has an empty `prompt`"):
        Complete(path=path_of(tmp_path, "p.jsonl", [{"prompt": "a"}, {"prompt": " "}])).load("p")


def test_one_document_can_not_be_divided_and_the_message_says_what_can(tmp_path):
    (tmp_path / "book.txt").write_text("A long story. " * 200)
    with pytest.raises(
        RequestError, match=r"is one document.*a folder with a file for each.*jsonl"
    ):
        Language(path=str(tmp_path / "book.txt")).load("t")
    path = path_of(tmp_path, "two.jsonl", [{"text": "one " * 50}, {"text": "two " * 50}])
    with pytest.raises(RequestError, match="is 2 documents"):
        Language(path=path).load("t")
    assert len(Language(path=path, validation=0, test=0.5).load("t").splits["test"]) > 0
