"""Texts compared: stems, ROUGE-L, what repeats."""

import random

import pytest

from bequest.build.comparing import holds, longest_common, repetition, rouge_l, same, words
from bequest.build.stemming import stem

# Examples of Porter's paper, and words at which the released versions part ways.
STEMS = {
    "caresses": "caress", "ponies": "poni", "ties": "tie", "cats": "cat", "feed": "feed",
    "agreed": "agre", "plastered": "plaster", "bled": "bled", "motoring": "motor", "sing": "sing",
    "conflated": "conflat", "troubled": "troubl", "sized": "size", "hopping": "hop",
    "falling": "fall", "hissing": "hiss", "fizzed": "fizz", "failing": "fail", "filing": "file",
    "happy": "happi", "sky": "sky", "relational": "relat", "conditional": "condit",
    "digitizer": "digit", "radically": "radic", "vileli": "vile", "operator": "oper",
    "hopefulness": "hope", "sensibiliti": "sensibl", "triplicate": "triplic", "goodness": "good",
    "revival": "reviv", "adjustable": "adjust", "adoption": "adopt", "activate": "activ",
    "probate": "probat", "rate": "rate", "cease": "ceas", "controll": "control", "roll": "roll",
    "dying": "die", "innings": "inning", "enjoy": "enjoy", "died": "die", "spied": "spi",
    "geology": "geolog", "2020s": "2020", "ion": "ion", "as": "as",
}  # fmt: skip


@pytest.mark.parametrize(("word", "expected"), STEMS.items())
def test_stems(word, expected):
    assert stem(word) == expected


# Values of the public rouge-score package, from the golden vectors of the unlearning metrics.
@pytest.mark.parametrize(
    ("truth", "said", "recall", "f1"),
    [
        ("The cat sat on the mat.", "A cat was sitting on the mats", 2 / 3, 8 / 13),
        ("Paris", "The capital is Paris, France.", 1.0, 1 / 3),
        ("", "anything", 0.0, 0.0),
        ("Ärger", "", 0.0, 0.0),
        ("one two three", "three two one", 1 / 3, 1 / 3),
    ],
)
def test_rouge_l(truth, said, recall, f1):
    assert rouge_l(truth, said) == pytest.approx((recall, f1), abs=1e-12)


def test_words_are_cut_as_the_rouge_package_cuts_them():
    assert words("L'Été: runs, RUNNING_2 the houses") == [
        "l", "t", "run", "run", "2", "the", "hous"]  # fmt: skip


def test_the_longest_common_subsequence_is_that_of_the_table():
    def by_table(one, other):
        row = [0] * (len(other) + 1)
        for mine in one:
            before = row
            row = [0]
            for i, its in enumerate(other):
                row.append(before[i] + 1 if mine == its else max(before[i + 1], row[i]))
        return row[-1]

    draw = random.Random(0)
    for _ in range(200):
        one, other = (draw.choices("abcd", k=draw.randrange(90)) for _ in range(2))
        assert longest_common(one, other) == by_table(one, other)


def test_same_and_holds_pass_over_case_blanks_and_marks_at_the_end():
    assert same(" Basil  Mahfouz.", "basil mahfouz")
    assert not same("Basil Mahfouz.", "Basil, Mahfouz")
    assert holds("Kuwait City", "in KUWAIT\ncity, of course")
    assert not holds("Kuwait City", "in Kuwait")


@pytest.mark.parametrize(
    ("text", "share"),
    [("", 0.0), ("a b c", 0.0), ("a b c d", 0.0), ("a a a a a a", 2 / 3), ("a b c d a b c d", 0.2)],
)
def test_repetition(text, share):
    assert repetition(text) == pytest.approx(share)
