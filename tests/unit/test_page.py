"""The page of a run: what it says, what it escapes, what it does without."""

import json
import re
import subprocess
import sys
from html import unescape

import numpy as np
import pytest
from pages import HOSTILE, TASKS, cells, sequence_run, single_run
from typer.testing import CliRunner

from bequest.build.showing import features, picture
from bequest.cli import app
from bequest.core.find import find
from bequest.measure.matrix import Matrix
from bequest.measure.rows import Row
from bequest.report.page import write_comparison, write_page
from bequest.report.page.beside import side_by_side
from bequest.report.page.html import as_script, tag, text
from bequest.report.page.numbers import amount, brief, number, signed, ticks
from bequest.report.page.sequences import courses


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return sequence_run(tmp_path_factory.mktemp("page") / "run")


@pytest.fixture(scope="module")
def said(folder):
    return write_page(folder).read_text()


def words(page):
    """What a reader sees: no markup, no style, no script."""
    body = re.sub(r"<(style|script)[^>]*>.*?</\1>", " ", page, flags=re.DOTALL)
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body)))


def part(page, name):
    """The section of that heading."""
    found = re.search(rf"<section[^>]*><h2[^>]*>{name}</h2>(.*?)</section>", page, re.DOTALL)
    assert found, name
    return found[1]


def test_names_are_text_wherever_they_stand(said):
    assert HOSTILE.partition("<img")[0].strip() in words(said)
    for smuggled in ("<b>tasks</b>", "<script>alert", "<img src=x", "<i>ash", "<u>soft", "<b>this"):
        assert smuggled not in said
    assert len(re.findall("<script", said)) == 2


def test_the_same_folder_gives_the_same_page(folder, said):
    assert write_page(folder).read_text() == said


def test_data_for_the_script_is_json_that_cannot_end_the_script(said):
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', said)
    data = json.loads(found[1])
    assert data["tasks"] == list(TASKS)
    assert data["values"]["accuracy"][7][2] is None
    assert as_script({"name": "</script>"}) == r'{"name":"\u003c/script\u003e"}'


def test_an_absent_cell_is_absent_with_its_reason(said):
    matrix = part(said, "What every stage knows")
    assert '<td class="absent"' in matrix
    assert "joint.all on noisy: the stage is not scored on <b>this</b> task" in words(matrix)


def test_the_verdict_names_every_rule_with_its_mark(said):
    verdict = words(part(said, "Verdict"))
    assert "✗ The gate failed" in verdict
    assert "1 of 2 rules hold" in verdict
    assert "accuracy(digits) >= 0.9" in verdict
    assert "is not >= 0.9" in verdict


def test_the_story_says_who_learned_what_and_what_was_lost(said):
    told = words(said)
    assert "student learns digits, rotated 30° and noisy one after the other by sequential." in told
    assert re.search(r"Learning on, sequential fell from [01]\.\d+ to 0\.\d+ accuracy on ", told)


def test_every_curve_and_its_numbers_are_there(said):
    learning = part(said, "Learning")
    assert learning.count("<figure>") == 7
    assert "× 1" in words(learning)
    assert "<u>soft</u> goes from" in unescape(learning)


def test_samples_of_every_kind_are_shown(said):
    flips = part(said, "Answers that flipped")
    assert "<blockquote>&lt;script&gt;alert(1)" in flips
    assert 'class="spark"' in flips
    assert "<i>ash</i>" in words(flips)
    assert "right before, wrong now" in words(flips)


def test_exhibits_are_bounded_and_count_all_flips(folder):
    held = json.loads((folder / "exhibits" / "exhibits.json").read_text())
    assert sum(map(len, held["samples"].values())) <= 60
    kinds = {one["kind"] for task in held["samples"].values() for one in task.values()}
    assert kinds == {"features", "text", "series"}
    for flip in held["flips"]:
        for kind in ("negative", "positive"):
            assert len(flip[kind]["shown"]) <= min(12, flip[kind]["count"])
    lost = next(f for f in held["flips"] if (f["row"], f["against"]) == (3, 6))
    assert lost["negative"]["count"] > lost["positive"]["count"]
    entry = lost["negative"]["shown"][0]
    assert entry["before"] == entry["label"] != entry["after"]


def test_a_run_of_one_row_without_curves_or_exhibits(tmp_path):
    said = words(write_page(single_run(tmp_path / "run")).read_text())
    assert "sequence & co" in said
    assert "No two rows can be compared." in said
    assert "No stage was trained" in said
    assert "This run holds no exhibits." in said
    assert "nothing was judged" in said
    assert "One task after another" not in said


def test_a_damaged_picture_is_said_to_be_so(tmp_path):
    folder = sequence_run(tmp_path / "run")
    path = folder / "exhibits" / "exhibits.json"
    held = json.loads(path.read_text())
    for task in held["samples"].values():
        for sample in task:
            task[sample] = {"kind": "image", "png": 'x" onerror="alert(1)'}
    path.write_text(json.dumps(held))
    said = write_page(folder).read_text()
    assert "onerror=" not in said.replace("onerror=&quot;", "")
    assert "damaged picture" in said


def test_report_and_compare_write_their_pages(folder, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    result = CliRunner().invoke(app, ["report", str(folder), "--open"])
    assert result.exit_code == 0, result.output
    assert result.output.strip() == str(folder / "report.html")
    assert opened == [(folder / "report.html").as_uri()]

    other = sequence_run(tmp_path / "other")
    both = tmp_path / "both.html"
    result = CliRunner().invoke(app, ["compare", str(folder), str(other), "--html", str(both)])
    assert result.exit_code == 0, result.output
    assert "2 runs side by side" in both.read_text()


def test_runs_side_by_side_are_judged_as_the_first():
    rows = (Row("given", "s", "s", line="given", order=0), Row("kd", "distilled", "s", order=1))
    held = cells(rows, [[0.2] * 2, [0.9] * 2], tasks=("a", "b"))
    usual, f1 = Matrix(held), Matrix(held, judged_by={"a": ["f1"]})
    assert side_by_side({"x": f1, "y": usual}).primary("a") == "f1"
    assert side_by_side({"x": f1, "y": usual}).primary("b") == "accuracy"
    assert side_by_side({"x": usual, "y": f1}).primary("a") == "accuracy"


def test_runs_side_by_side_are_paired(folder, tmp_path):
    path = tmp_path / "both.html"
    write_comparison({"a": folder, "b & c": folder}, path)
    said = words(path.read_text())
    assert "≈ 0.000 (" in said.replace("\N{NO-BREAK SPACE}", " ")
    assert "a → b & c The same recipe." in said


def test_the_page_needs_no_torch(folder):
    code = (
        "import sys; from pathlib import Path; from bequest.report.page import write_page;"
        f"write_page(Path({str(folder)!r})); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_sequence_is_told_in_one_number_too(said):
    told = words(part(said, "One task after another"))
    assert "In one number" in told
    assert re.search(r"bwt −0\.\d+ \(−0\.\d+ … −?0\.\d+\)", told)


def test_courses_are_found_by_what_was_learned():
    rows = [
        Row("given", "m", "m", line="given"),
        Row("one", "trained", "m", learned="a", after=0, order=1),
        Row("two", "trained", "m", learned="b", after=1, order=2),
        Row("alone", "trained", "m", learned="b", line="alone", after=0, order=3),
    ]
    found = courses(rows)
    assert [(course.start, course.stages, course.tasks) for course in found] == [
        (0, (1, 2), ("a", "b"))
    ]
    rows.append(Row("again", "t", "m", learned="a", after=2, order=4))
    rows.append(Row("again", "u", "m", learned="c", after=4, order=5))
    assert [course.stages for course in courses(rows)] == [(4, 5)]


def test_markup_is_made_of_text():
    assert text("<&\"'\x00\ud800") == "&lt;&amp;&quot;&#x27;\ufffd\ufffd"
    assert (
        tag("td", "a<b", class_="c", hidden=True, title=None) == '<td class="c" hidden>a&lt;b</td>'
    )
    assert tag("img", alt='"') == '<img alt="&quot;">'


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (number(-0.0334), "−0.033"),
        (number(12345.6), "12,346"),
        (number(float("nan")), "not a number"),
        (signed(0.0001), "0.000"),
        (signed(0.5), "+0.500"),
        (amount(29066, "count"), "29,066"),
        (amount(4672, "bytes"), "4.67 kB"),
        (amount(2.34, "s"), "2.3 s"),
        (brief(-0.05), "−0.05"),
        (ticks(0, 1), [0, 0.5, 1]),
        (ticks(-1, 1), [-1, -0.5, 0, 0.5, 1]),
    ],
)
def test_numbers_as_people_read_them(said, wanted):
    assert said == wanted


def test_a_picture_is_a_small_png():
    shown = picture(np.linspace(0, 1, 3 * 200 * 100, dtype=np.float32).reshape(3, 200, 100))
    import base64
    from io import BytesIO

    from PIL import Image

    with Image.open(BytesIO(base64.b64decode(shown["png"]))) as image:
        assert (image.format, image.size, image.mode) == ("PNG", (32, 64), "RGB")
    grey = picture(np.full((1, 8, 8), 255, np.uint8))
    with Image.open(BytesIO(base64.b64decode(grey["png"]))) as image:
        assert image.mode == "L"
        assert image.getpixel((0, 0)) == 255


def test_features_are_named_and_bounded():
    shown = features(np.arange(300, dtype=np.float32))
    assert len(shown["values"]) == len(shown["names"]) == 256
    assert shown["names"][:2] == ["x0", "x1"]
    assert shown["values"][3] == 3.0


def test_features_of_a_table_have_its_names_and_its_unit(tmp_path):
    rows = [f"{('red', 'blue')[n % 2]},{n * 1000.5},{'ab'[n % 3 == 0]}" for n in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(["hue,size,label", *rows]))
    settings = {"use": "csv", "path": str(tmp_path / "t.csv")}
    task = find("tasks", "csv")(path=settings["path"]).load("t")
    test = task.splits["test"]
    shown = task.exhibit(test.ids[:9])
    assert all(one["names"] == ["size", "hue = blue", "hue = red"] for one in shown)
    known = {(n * 1000.5, float(n % 2), float(n % 2 == 0)) for n in range(60)}
    assert {tuple(one["values"]) for one in shown} <= known
    # Columns that stand elsewhere are not called by the old names.
    other = find("tasks", "part")(of=settings, columns=(3, 2, 1), shares=1).load("t")
    (shown,) = other.exhibit(other.splits["test"].ids[:1])
    assert shown["names"] == ["x0", "x1", "x2"]


def test_a_task_shows_samples_by_their_ids():
    from bequest.build.tasks.digits import Digits

    task = Digits().load("digits")
    test = task.splits["test"]
    one, other = task.exhibit(test.ids[[5, 2]])
    assert one["kind"] == "image"
    assert one == picture(test.inputs[5])
    assert other == picture(test.inputs[2])
