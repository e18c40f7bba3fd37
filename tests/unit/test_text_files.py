"""Text files in any encoding, compressed or not, with any delimiter."""

import bz2
import gzip
import json
import lzma
import os

import pytest

from bequest.build.documents import documents, records
from bequest.build.paths import missing
from bequest.build.text_files import opened
from bequest.core.errors import RequestError
from bequest.core.find import find

ROWS = [f"{n * n},{n % 7},{('süß', 'naïve')[n % 2]}" for n in range(40)]
TABLE = "\n".join(["größe,b,label", *ROWS]) + "\n"
SAID = "größe"


def csv(path, **fields):
    return find("tasks", "csv")(path=str(path), **fields)


@pytest.fixture
def file(tmp_path):
    def write(content, name="t.csv"):
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return write


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_what_a_mark_says_is_read(file, encoding):
    task = csv(file(TABLE.encode(encoding))).load("t")
    assert task.labels == ("naïve", "süß")
    assert task.fingerprint == csv(file(TABLE.encode(), "u.csv")).load("t").fingerprint


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16-le", "utf-16-be", "cp437"])
def test_other_encodings_are_refused_until_they_are_named(file, encoding):
    path = file(TABLE.encode(encoding))
    (problem,) = csv(path).check()
    assert problem.field == ("path",)
    assert "`encoding" in problem.fix
    assert csv(path, encoding=encoding).load("t").labels == ("naïve", "süß")


def test_bytes_of_no_character_are_told_with_their_line(file):
    path = file(TABLE.replace("größe", "a").replace("süß", "x").encode("latin-1"))
    with pytest.raises(RequestError, match=r"t.csv` is not UTF-8: byte 0xef in line 3; convert it"):
        csv(path).load("t")
    with pytest.raises(RequestError, match=r"t.csv` is not ASCII: byte 0xef in line 3"):
        csv(path, encoding="ascii").load("t")


@pytest.mark.parametrize(
    ("written", "named"), [("utf-16", "utf-16-le"), ("utf-16", "utf-16"), ("utf-8-sig", "utf-8")]
)
def test_a_mark_is_no_character_where_the_encoding_is_named_too(file, written, named):
    task = csv(file(TABLE.encode(written)), encoding=named, features=["größe"])
    assert task.load("t").shape == (1,)


def test_a_file_of_another_encoding_than_the_named_one_is_refused(file):
    with pytest.raises(RequestError, match="is not UTF-16"):
        csv(file(TABLE.encode()), encoding="utf-16").load("t")


def test_an_encoding_that_nobody_knows_is_refused():
    for name in ("klingon", "hex", ""):
        with pytest.raises(ValueError, match="must be an encoding such as"):
            csv("t.csv", encoding=name)


@pytest.mark.parametrize(
    ("ending", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)]
)
def test_packed_files_are_unpacked(file, ending, pack):
    plain = csv(file(TABLE.encode())).load("t")
    assert csv(file(pack(TABLE.encode()), f"t.csv{ending}")).load("t").fingerprint == (
        plain.fingerprint
    )
    lines = "".join(json.dumps({"text": f"t {n}", "label": "ab"[n % 2]}) + "\n" for n in range(40))
    for name in ("t.jsonl", "t.json"):
        path = file(pack(lines.encode()), name + ending)
        assert len(list(records(str(path)))) == 40
        assert find("tasks", "text")(path=str(path)).load("t").labels == ("a", "b")
    cut = file(pack(TABLE.encode())[:-20], f"cut.csv{ending}")
    with pytest.raises(RequestError, match=r"cut.csv.* can't be read"):
        csv(cut).load("t")


@pytest.mark.parametrize(
    ("mark", "said"),
    [(b"PK\x03\x04", "is a zip archive or a spread"), (b"PAR1", "is a Parquet file")],
)
def test_files_of_other_kinds_are_named(file, mark, said):
    assert said in csv(file(mark + bytes(60))).check()[0].what


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_another_delimiter_is_found_and_said(file, mark):
    path = file(TABLE.replace(",", mark).encode())
    task = csv(path).load("t")
    assert task.shape == (2,)
    shown = "tabs" if mark == "\t" else f"`{mark}`"
    assert task.notes == (f"`{path}` has {shown} between its values (`delimiter`)",)
    assert csv(path, delimiter=mark).load("t").notes == ()
    (wrong,) = csv(path, delimiter=":").check()
    assert f"has no `:` (`delimiter`), but {shown}" in wrong.what
    texts = "\n".join(["text,label", *(f"t {n},{'ab'[n % 2]}" for n in range(40))])
    task = find("tasks", "text")(path=str(file(texts.replace(",", mark).encode(), "x.csv")))
    assert task.load("t").labels == ("a", "b")
    assert f"has {shown} between its values" in task.load("t").notes[0]


def test_a_delimiter_that_is_not_found_is_asked_for(file):
    path = file(TABLE.replace(",", "^").encode())
    said = str(csv(path).check()[0])
    assert "its only column is `größe^b^label`: `delimiter` names what separates values" in said
    assert csv(path, delimiter="^").load("t").labels == ("naïve", "süß")
    texts = file(b"text^label\na^b\n", "texts.csv")
    (problem, other) = find("tasks", "text")(path=str(texts)).check()
    assert "`delimiter` names what separates values" in problem.fix
    assert (problem.field, other.field) == (("text",), ("label",))
    # A single column that is called otherwise has no hidden ones.
    assert "there are body" in str(csv(file(b"body\n1\n", "one.csv")).check()[0])


def test_a_mistake_in_a_file_stands_at_the_setting_that_names_it(file):
    whole = "\n".join(["text,label", *(f"t {n},{'ab'[n % 2]}" for n in range(40))])
    first, late = "é,a\n".encode("latin-1"), f"{whole}\né,a\n".encode("latin-1")
    good = file(whole.encode(), "good.csv")
    for name, content in (("first.csv", b"text,label\n" + first), ("late.csv", late)):
        task = find("tasks", "text")(path=str(good), test_path=str(file(content, name)))
        with pytest.raises(RequestError, match="is not UTF-8") as caught:
            task.load("t")
        assert [problem.field for problem in caught.value.problems] == [("test_path",)]
    search = find("tasks", "retrieve")(items=str(good), queries=str(file(first, "queries.csv")))
    assert ("queries",) in [problem.field for problem in search.check()]


def test_names_may_have_line_breaks_and_delimiters_in_them(file):
    path = file(TABLE.replace("b,", '"b\nin; m",').encode())
    assert csv(path, features=["b\nin; m", "größe"]).load("t").shape == (2,)


def test_tabs_of_a_tsv_file_are_no_news(file):
    path = file(TABLE.replace(",", "\t").replace("b\t", "b, or c\t").encode(), "t.tsv")
    task = csv(path).load("t")
    assert task.shape == (2,)
    assert task.notes == ()


def test_a_line_of_another_length_is_told_with_the_delimiter(file):
    with pytest.raises(RequestError, match=r"t.csv:42`: .*Expected 3 columns.*separated by `,`"):
        csv(file((TABLE + "1;2;x\n").encode())).load("t")


def test_blanks_around_names_and_values_are_none_of_them(file):
    spaced = TABLE.replace(",", " , ")
    task = csv(file(spaced.encode()), features=["größe", "b"]).load("t")
    assert task.labels == ("naïve", "süß")


def test_documents_are_read_alike(file):
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        path = file("süß\r\nund\rso".encode(encoding), "t.txt")
        assert documents(str(path))[0][1] == "süß\nund\nso"
    path = file(gzip.compress(SAID.encode()), "t.txt.gz")
    assert documents(str(path))[0][1] == SAID
    with pytest.raises(RequestError, match="is not UTF-8: byte 0xfc in line 1"):
        documents(str(file("süß".encode("latin-1"), "t.txt")))
    with opened(path) as lines:
        assert lines.read() == SAID


def test_labels_in_json_are_one_label_however_the_number_is_written(file):
    said = [1, 1.0, "1", 2, "2.0", " 2 "]
    lines = "".join(json.dumps({"text": f"t {n}", "label": said[n % 6]}) + "\n" for n in range(60))
    task = find("tasks", "text")(path=str(file(lines.encode(), "t.jsonl"))).load("t")
    assert task.labels == ("1", "2")


def test_words_of_texts_that_look_missing_are_kept(file):
    said = ["NA", "None", "null"]
    rows = [f"nan {n},{said[n % 3]}" for n in range(60)]
    path = file("\n".join(["text,label", *rows, "NA,NA"]).encode())
    task = find("tasks", "text")(path=str(path)).load("t")
    assert set(task.labels) == set(said)
    assert sum(len(split) for split in task.splits.values()) == 61
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    task = find("tasks", "dataset")(path=str(path.parent), text="text").load("t")
    assert set(task.labels) == set(said)


@pytest.mark.parametrize(
    ("written", "meant"),
    [("python-txt/documentation", "python-text/documentation"), ("wordnt", "wordnet"), ("x/y", "")],
)
def test_an_asset_that_is_misspelt_is_told(written, meant):
    (problem,) = find("tasks", "language")(path=written).check()
    assert "doesn't exist" in problem.what
    assert problem.meant == meant


def test_a_name_in_the_home_folder_is_looked_for_there(tmp_path, monkeypatch):
    monkeypatch.setitem(os.environ, "HOME", str(tmp_path))
    for name in (".xcsv", ".x.csv", "y.csv"):
        (tmp_path / name).write_text("")
    assert missing("~/x.csv").meant == "~/y.csv"
    assert missing("~/.x.cvs").meant == "~/.x.csv"
    assert missing("~/z.csv").fix == ""
    assert "paths start at the recipe's folder" in missing("z.csv").fix
    (tmp_path / "y.csv").rename(tmp_path / "other.csv")
    assert missing("~/x.csv").meant == ""
    (tmp_path / "x.csv").write_text(TABLE)
    assert csv("~/x.csv").load("t").labels == ("naïve", "süß")
