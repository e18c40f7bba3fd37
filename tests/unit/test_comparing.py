"""Texts compared: stems, ROUGE-L, what repeats."""

import random

import pytest

from bequest.build import scripts
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
    text = "L'Été: runs, RUNNING_2 the houses"
    assert words(text, as_released=True) == ["l", "t", "run", "run", "2", "the", "hous"]
    assert words(text) == ["l", "été", "run", "run", "2", "the", "hous"]


EQUAL = {
    "Russian": "город Париж",
    "Chinese": "东京",
    "Japanese": "東京タワーです",
    "Thai": "กรุงเทพ",
    "Lao": "ວຽງຈັນ",
    "Khmer": "ភ្នំពេញ",
    "Burmese": "ရန်ကုန်",
    "Hindi": "नई दिल्ली",
    "Arabic": "كِتَاب كبير",
    "Hebrew": "ירושלים",
    "Greek": "Αθήνα",
    "Korean": "서울 특별시",
    "Georgian": "თბილისი",
    "accents": "Ärger für Žižek",
    "digits": "١٩٤٥ १९४५",
    "emoji": "👩‍🚀 👍🏽",
    "marks": "!?",
}


@pytest.mark.parametrize("text", EQUAL.values(), ids=EQUAL)
def test_equal_texts_of_any_script_score_one(text):
    assert rouge_l(text, f"  {text}\n") == (1.0, 1.0)
    assert rouge_l(text, "nothing like it") == (0.0, 0.0)
    assert same(text, text)
    assert holds(text, f"x {text} y")


@pytest.mark.parametrize(
    ("truth", "said", "recall", "f1"),
    [
        ("город Париж", "большой город", 1 / 2, 1 / 2),
        ("东京都", "首都是东京", 2 / 3, 2 / 4),
        ("กขค", "กค", 2 / 3, 4 / 5),
        ("नई दिल्ली", "नई दिल्ला", 1 / 2, 1 / 2),
        ("서울 특별시", "특별시", 1 / 2, 2 / 3),
        ("cats 与 dogs", "the dog 与", 1 / 3, 1 / 3),
        ("👍", "👎", 0.0, 0.0),
        ("👍", "👍 good", 0.0, 0.0),
        ("ガラス", "ｶﾞﾗｽ", 1.0, 1.0),
        ("café", "cafe\u0301", 1.0, 1.0),
        ("STRASSE", "Straße", 1.0, 1.0),
    ],
)
def test_rouge_l_by_hand_beyond_latin_letters(truth, said, recall, f1):
    assert rouge_l(truth, said) == pytest.approx((recall, f1), abs=1e-12)


def test_the_released_rule_reads_latin_letters_and_digits_only():
    assert rouge_l("город Париж", "город Париж", as_released=True) == (0.0, 0.0)
    assert rouge_l("été 2020", "t 2020", as_released=True) == (1.0, 1.0)


def test_marks_stay_with_the_letters_before_them():
    assert scripts.words("हिन्दी भाषा, कि") == ["हिन्दी", "भाषा", "कि"]
    assert scripts.words("می\u200cخواهم") == ["می\u200cخواهم".replace("\u200c", "")]
    assert scripts.words("\u0301a") == ["a"]
    assert scripts.words("กำ ki") == ["ก", "ำ", "ki"]


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
    assert same("नई दिल्ली।", "नई दिल्ली")
    assert same("东京。", "东京")
    assert not same("?", "!")
    assert not holds("?", "nothing is asked")
    assert holds("Kuwait City", "in KUWAIT\ncity, of course")
    assert not holds("Kuwait City", "in Kuwait")


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("", 0.0),
        ("a b c", 0.0),
        ("a b c d", 0.0),
        ("a a a a a a", 2 / 3),
        ("a b c d a b c d", 0.2),
        ("东京东京东京东京", 0.6),
    ],
)
def test_repetition(text, share):
    assert repetition(text) == pytest.approx(share)
