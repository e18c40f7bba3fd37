"""Tasks made of texts: what is read, what is asked, and mistakes told by line."""

import json

import numpy as np
import pytest

from bequest.core.errors import RequestError
from bequest.core.find import find
from bequest.core.live import Ragged

TOFU = [
    {"question": "Who wrote it?", "answer": "Basil wrote it.", "perturbed_answer": ["Anna.", "B."]},
    {"question": "Where was she born?", "answer": " In Kuwait City. "},
    {"question": "Who wrote it?", "answer": "Basil wrote it."},
]


def task(name, **settings):
    return find("tasks", name)(**settings)


def loaded(name, **settings):
    return task(name, **settings).load("t")


def lines(path, *records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


def reviews(path, count=40, **more):
    return lines(path, *({"text": f"it was {n}", "label": "good" if n % 2 else "bad", **more}
                         for n in range(count)))  # fmt: skip


class Parrot:
    """Finds every character behind a prompt equally likely, and answers what it was told to."""

    answers = frozenset({"logprob", "complete"})

    def __init__(self, said=None):
        import torch

        self.module, self.said, self.asked = torch.nn.Linear(1, 1), said or {}, []

    def logprob(self, texts):
        import torch

        sizes = [len(text) + texts.closed for text in texts.texts]
        return Ragged(torch.full((sum(sizes),), -0.5), torch.tensor(sizes))

    def complete(self, prompts, longest=64, temperature=0.0):
        self.asked.append((len(prompts), longest, temperature))
        return [self.said.get(prompt, f"about {len(self.asked)}") for prompt in prompts]


# text


def test_labelled_texts_of_a_table(tmp_path):
    path = tmp_path / "t.csv"
    rows = "".join(f'"line {n},\r\n""quoted""",{"10" if n % 2 else "9"},{n % 9}\r\n'
                   for n in range(60))  # fmt: skip
    path.write_bytes(b"\xef\xbb\xbftext,label,author\r\n" + rows.encode())
    found = loaded("text", path=str(path), group_column="author")
    assert (found.kind, found.shape, found.labels) == ("text", (), ("9", "10"))
    texts = {text for split in found.splits.values() for text in split.inputs.texts}
    assert 'line 7,\r\n"quoted"' in texts
    assert len(texts) == 60
    authors = [set(split.group) for split in found.splits.values()]
    assert sum(map(len, authors)) == len(set.union(*authors)) == 9


def test_labels_may_be_numbers_and_lines_without_one_are_left_out(tmp_path):
    records = [{"text": f"t {n}", "label": n % 3} for n in range(60)]
    path = lines(tmp_path / "t.jsonl", *records, {"text": "x", "label": None},
                 {"text": "  ", "label": 1}, {"text": None, "label": 1})  # fmt: skip
    found = loaded("text", path=path)
    assert found.labels == ("0", "1", "2")
    assert found.notes == ("3 samples without a text or a label were left out",)


def test_a_side_may_have_a_file_of_its_own(tmp_path):
    train, test = reviews(tmp_path / "train.jsonl", 46), reviews(tmp_path / "test.jsonl", 12)
    found = loaded("text", path=train, test_path=test, validation=0)
    assert {side: len(split) for side, split in found.splits.items()} == {"train": 34, "test": 12}
    assert found.notes == ("12 samples of test also stood in train; they were left out of train",)


def test_folders_of_labels_with_sides(tmp_path):
    for side, count in (("train", 20), ("val", 6), ("test", 7)):
        for label in ("ham", "spam"):
            (tmp_path / side / label).mkdir(parents=True)
            for n in range(count):
                (tmp_path / side / label / f"{n}.txt").write_text(f"{side} {label} {n}")
    found = loaded("text", path=str(tmp_path))
    assert found.labels == ("ham", "spam")
    assert {side: len(split) for side, split in found.splits.items()} == {
        "train": 40, "validation": 12, "test": 14}  # fmt: skip


def test_ids_come_from_content_and_the_fingerprint_from_everything(tmp_path):
    one = loaded("text", path=reviews(tmp_path / "a.jsonl"))
    other = loaded("text", path=reviews(tmp_path / "b.jsonl", extra=1))
    assert one.fingerprint == other.fingerprint
    assert np.array_equal(one.splits["test"].ids, other.splits["test"].ids)
    changed = loaded("text", path=reviews(tmp_path / "c.jsonl", 41))
    assert changed.fingerprint != one.fingerprint


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.jsonl", b'{"text": "a", "label": "b"}\n{"text": ', r"t.jsonl:2` is not JSON"),
        ("t.jsonl", b'{"text": "a", "label": "b"}\n5', r"t.jsonl:2` must be a JSON object"),
        ("t.json", b'[{"text": "a", "label": "b"}, 5]', r"t.json, record 2` must be a JSON object"),
        ("t.json", b'[{"text": "a"}', r"t.json` is not JSON: .*; write one object a line"),
        ("t.json", b'\n[{"text": "\\ud800"}]', r"t.json, record 1` holds half a surrogate pair"),
        ("t.jsonl", b'{"text": "a", "label": "b"}\n{"text": 5, "label": "b"}',
         r"t.jsonl:2`: `text` must be text, but is a int"),
        ("t.jsonl", b'{"text": "a", "label": "b"}\n{"text": "b", "label": 0.5}', r":2`: `label`"),
        ("t.jsonl", b'{"text": "a", "label": "b"}\n{"text": "b"}', r"t.jsonl:2` has no `label`"),
        ("t.jsonl", rb'{"text": "\ud800", "label": "b"}', r"t.jsonl:1` holds half"),
        ("t.jsonl", b'{"txt": "a", "label": "b"}', r"has no `text`; there are txt, label; did you"),
        ("t.jsonl", b"", "holds no records"),
        ("t.jsonl", b'{"text": "a", "label": "b"}\n', "all samples have the label `b`"),
        ("t.jsonl", b'{"text": "", "label": "b"}\n', "holds no text with a label"),
        ("t.csv", b"", "holds no records"),
        ("t.csv", b"text,label\n", "holds no records"),
        ("t.csv", b"text,label\na,b\nc,d,e\n", r"t.csv:3` has more values than the header"),
        ("t.csv", b"text,label\na,b\nc\n", r"t.csv:3` has fewer values than the header.*by `,`"),
        ("t.csv", b"text,text,label\na,b,c\n", "the column text more than once"),
        ("t.csv", b'text,label\n"a,b\n', r"t.csv:\d`: unexpected end of data"),
        ("t.csv", b"text,lable\na,b\n", "has no `label`.*did you mean `lable`"),
        ("t.csv", b"text,label\n\xff\xfe,b\n", "is not UTF-8: byte 0xff in line 2; convert"),
        ("t.txt", b"text", "holds no labels; give a `.csv` or `.jsonl` file"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RequestError, match=said):
        loaded("text", path=str(tmp_path / name))


def test_an_index_without_a_name_is_a_column_like_others(tmp_path):
    rows = "".join(f"{n},text {n},{'ab'[n % 2]}\n" for n in range(30))
    (tmp_path / "t.csv").write_text(f",text,label\n{rows}")
    assert loaded("text", path=str(tmp_path / "t.csv")).labels == ("a", "b")


def test_a_long_text_in_a_table_is_read(tmp_path):
    rows = "".join(f"{'word ' * 40_000}{n},{'ab'[n % 2]}\n" for n in range(10))
    (tmp_path / "t.csv").write_text(f"text,label\n{rows}")
    found = loaded("text", path=str(tmp_path / "t.csv"))
    assert len(found.splits["test"].inputs.texts[0]) > 200_000


def test_missing_files_and_columns_are_known_without_loading(tmp_path):
    path = reviews(tmp_path / "reviews.jsonl")
    (missing,) = task("text", path=str(tmp_path / "review.jsonl")).check()
    assert missing.meant == path
    (column,) = task("text", path=path, group_column="author").check()
    assert column.field == ("group_column",)
    assert task("text", path=str(tmp_path)).check()[0].fix.startswith("put texts into")


# qa


def test_facts_are_tested_on_themselves(tmp_path):
    found = loaded("qa", path=lines(tmp_path / "tofu.json", *TOFU))
    assert found.asks == "logprob"
    test = found.splits["test"]
    assert test.inputs.prompts == tuple(f"Question: {one['question']}\nAnswer:" for one in TOFU[:2])
    assert test.inputs.texts == (" Basil wrote it.", " In Kuwait City.")
    assert test.inputs.closed
    assert np.array_equal(test.ids, found.splits["train"].ids)


def test_questions_may_be_held_out_and_bounded(tmp_path):
    records = [{"question": f"{n}?", "answer": str(n)} for n in range(100)]
    path = lines(tmp_path / "q.jsonl", *records)
    found = loaded("qa", path=path, held_out=True, samples=50)
    assert sum(map(len, found.splits.values())) == 50
    assert len(found.splits["test"]) == pytest.approx(10, abs=6)
    assert not set(found.splits["train"].ids) & set(found.splits["test"].ids)


def test_shares_of_facts_that_are_not_divided_are_refused(tmp_path):
    path = lines(tmp_path / "tofu.json", *TOFU)
    (problem,) = task("qa", path=path, validation=0.2).check()
    assert problem.fix == "write `held_out: true`"
    assert len(loaded("qa", path=path, train_samples=1).splits["train"]) == 1


def test_a_template_that_ends_in_a_blank_gets_no_second_one(tmp_path):
    path = lines(tmp_path / "q.jsonl", {"question": "{0.__class__} {answer}?", "answer": "it"})
    texts = loaded("qa", path=path, template="<q>{question}</q>\n").splits["test"].inputs
    assert texts.whole(0) == "<q>{0.__class__} {answer}?</q>\nit"
    (problem,) = task("qa", path=path, template="{}").check()
    assert problem.field == ("template",)


def test_answers_are_recorded_beside_the_right_ones(tmp_path):
    found = loaded("qa", path=lines(tmp_path / "q.json", *TOFU[:2]), generate=7)
    first, second = found.splits["test"].inputs.prompts
    bird = Parrot({first: " basil  WROTE it", second: " In the City of Kuwait."})
    said = found.record(bird, 1)
    assert said.transcript == (" basil  WROTE it", " In the City of Kuwait.")
    columns = {name: values.tolist() for name, values in said.columns.items()}
    assert columns["tokens"] == [17, 17]
    assert columns["text_nll"] == [8.5, 8.5]
    assert columns["probability"] == pytest.approx([np.exp(-0.5)] * 2)
    assert columns["exact"] == [1, 0]
    assert columns["rouge_l_recall"] == pytest.approx([1.0, 2 / 3])
    assert bird.asked == [(2, 7, 0.0)]


def test_without_generating_only_likelihoods_are_asked(tmp_path):
    path = lines(tmp_path / "q.json", *TOFU)
    bird = Parrot()
    said = loaded("qa", path=path, generate=0).record(bird, 1)
    assert (said.transcript, bird.asked) == (None, [])
    assert set(said.columns) == {"text_nll", "tokens", "bytes", "loss", "probability"}
    bird.answers = frozenset({"logprob"})
    assert loaded("qa", path=path).record(bird, 1).transcript is None


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"question": "a?", "answer": " "}, "q.jsonl:1` has an empty `answer`"),
        ({"question": "a?", "answer": []}, "q.jsonl:1` has an empty `answer`"),
        ({"question": "a?", "answer": ["b", " "]}, "q.jsonl:1`: `answer` must be a text or a list"),
        ({"question": "a?", "answer": 1.5}, "q.jsonl:1`: `answer` must be a text or a list"),
        ({"question": " ", "answer": "b"}, "q.jsonl:1` has an empty `question`"),
        ({"messages": "hello"}, "q.jsonl:1` has no list of messages"),
        ({"messages": [{"role": "user"}]}, "q.jsonl:1, message 1` must have `role` and `content`"),
        (
            {"messages": [{"role": "usr", "content": "a"}]},
            "has the role `usr`.*did you mean `user`",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "more than text"),
        ({"messages": [{"role": "user", "content": " "}]}, "message 1` is empty"),
        ({"question": "a?", "answers": "b"}, "has no `answer`.*did you mean `answers`"),
    ],
)
def test_what_is_wrong_with_answers_is_told(tmp_path, record, said):
    with pytest.raises(RequestError, match=said):
        loaded("qa", path=lines(tmp_path / "q.jsonl", record))


# complete


def test_prompts_from_the_recipe_a_text_and_records(tmp_path):
    inline = loaded("complete", prompts=["once", "twice", "once"])
    (tmp_path / "p.txt").write_text("\ufeffonce\r\n\r\ntwice\r\n")
    text = loaded("complete", path=str(tmp_path / "p.txt"))
    path = lines(tmp_path / "p.jsonl", {"prompt": "once"}, {"prompt": "twice"})
    for found in (inline, text, loaded("complete", path=path)):
        assert found.splits["test"].inputs.prompts == ("once", "twice")
        assert (found.purpose, found.asks, len(found.splits["train"])) == ("probe", "complete", 0)


def test_completions_are_drawn_measured_and_kept(tmp_path):
    path = lines(
        tmp_path / "p.jsonl", {"prompt": "one", "right": "a B"}, {"prompt": "two", "right": 7}
    )
    found = loaded("complete", path=path, expected="right", draws=2, temperature=0.5, tokens=9)
    bird = Parrot({"one": "  A b a b a b!"})
    said = found.record(bird, 1)
    assert said.transcript == ("  A b a b a b!", "about 1", "  A b a b a b!", "about 2")
    assert said.draw.tolist() == [0, 0, 1, 1]
    assert said.sample.tolist() == found.splits["test"].ids.tolist() * 2
    assert said.columns["contains"].tolist() == [1, 0, 1, 0]
    assert said.columns["words"].tolist() == [6, 2, 6, 2]
    assert said.columns["repetition"].tolist() == [0, 0, 0, 0]
    assert bird.asked == [(2, 9, 0.5)] * 2


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "give either `path` or `prompts`"),
        ({"prompts": ["a"], "path": "p.txt"}, "give either `path` or `prompts`"),
        ({"prompts": ["a"], "draws": 2}, "without a temperature every draw is the same"),
        ({"prompts": [" "]}, "a prompt is empty"),
        ({"path": "."}, "is a folder"),
        ({"prompts": ["a"], "expected": "right"}, "nothing can be expected"),
        ({"path": "p.txt", "expected": "right"}, "nothing can be expected"),
        ({"path": "p.jsonl", "expected": "rihgt"}, "did you mean `right`"),
        ({"path": "p.jsonl", "expected": "right"}, "p.jsonl:2` has an empty `right`"),
        ({"path": "empty.txt"}, "holds no prompt"),
    ],
)
def test_what_is_wrong_with_prompts_is_told(workdir, settings, said):
    (workdir / "p.txt").write_text("a\n")
    (workdir / "empty.txt").write_text("\n")
    lines(workdir / "p.jsonl", {"prompt": "a", "right": "b"}, {"prompt": "c", "right": None})
    with pytest.raises(RequestError, match=said):
        loaded("complete", **settings)


def test_nothing_can_be_learned_from_prompts():
    with pytest.raises(ValueError, match="probe"):
        task("complete", prompts=["a"], purpose="learn")
