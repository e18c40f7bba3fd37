"""The file of outcomes: what comes back, and what is refused."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from invented_matrices import IDS, answers, as_text, invented

from bequest.core.errors import StoreError
from bequest.core.outcomes import Outcomes
from bequest.measure import parquet
from bequest.measure.matrix import Matrix


def test_the_file_gives_back_the_same_matrix(tmp_path):
    units = np.arange(len(IDS)) // 2
    group = np.array(["a", "b", "ü"] * 40)
    cells = invented()
    other = {
        (row, "other", 0): answers(
            row, 0.5, unit=units, group=group, draw=np.arange(120, dtype="i4")
        )
        for row in (1, 3)
    }
    for one in other.values():
        del one.columns["nll"]
    absent = {(row, "other"): "no" for row in (0, 2, 4)}
    cells = replace(cells, outcomes={**cells.outcomes, **other}, absent=absent)
    parquet.write(cells, tmp_path / "a.parquet")
    back = parquet.read(tmp_path / "a.parquet")
    assert as_text(Matrix(back)) == as_text(Matrix(cells))
    assert (back.rows, back.seeds, back.costs) == (cells.rows, cells.seeds, cells.costs)
    assert back.absent == cells.absent
    one, was = back.outcomes[3, "other", 0], other[3, "other", 0]
    assert set(one.columns) == {"correct", "confidence", "predicted"}
    assert (one.sample == was.sample).all()
    assert (one.unit == units).all()
    assert (one.group == group).all()
    assert (one.draw == was.draw).all()
    assert one.labels == ("a", "b")
    assert one.columns["confidence"].dtype == np.float32
    assert back.outcomes[0, "digits", 0].unit is None
    parquet.write(back, tmp_path / "b.parquet")
    parquet.write(cells, tmp_path / "c.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "c.parquet").read_bytes()
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert len(list(tmp_path.iterdir())) == 3


def test_a_run_without_outcomes_is_a_file_too(tmp_path):
    cells = replace(invented(), outcomes={})
    parquet.write(cells, tmp_path / "a.parquet")
    assert parquet.read(tmp_path / "a.parquet") == cells


def test_a_damaged_file_is_a_clear_error(tmp_path):
    path = tmp_path / "a.parquet"
    parquet.write(invented(), path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    told = as_text(Matrix(parquet.read(path)))
    for place in rng.integers(0, len(whole), 60):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            changed = parquet.read(path)
        except StoreError as error:
            assert "a.parquet" in str(error)
        else:
            assert json.loads(as_text(Matrix(changed)))["cells"] == json.loads(told)["cells"]
    for size in (0, 3, 100, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(StoreError):
            parquet.read(path)


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"cells": []},
        {"cells": [[0, "digits", 0, 1200]]},
        {"rows": []},
        {"rows": [{"name": 1}]},
        {"tasks": 3},
        {"labels": {}},
        {"costs": [[0, 5]]},
        {"absent": [[99, "digits", "x"]]},
        [],
    ],
)
def test_a_file_that_contradicts_itself_is_refused(tmp_path, change):
    import pyarrow.parquet as pq

    path = tmp_path / "a.parquet"
    parquet.write(invented(), path)
    table = pq.read_table(path)
    about = json.loads(table.schema.metadata[parquet.KEY])
    about = {**about, **change} if change else change
    pq.write_table(table.replace_schema_metadata({parquet.KEY: json.dumps(about)}), path)
    with pytest.raises(StoreError, match="damaged"):
        parquet.read(path)


def test_someone_elses_file_and_a_missing_one_are_refused(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"x": [1]}), tmp_path / "x.parquet")
    for name in ("x.parquet", "none.parquet"):
        with pytest.raises(StoreError):
            parquet.read(tmp_path / name)
    with pytest.raises(StoreError, match="could not be written"):
        parquet.write(invented(), tmp_path / "x.parquet" / "below a file.parquet")


def test_a_column_may_not_take_a_name_of_the_table(tmp_path):
    one = Outcomes(IDS, {"unit": IDS})
    with pytest.raises(ValueError, match="named unit"):
        parquet.write(replace(invented(), outcomes={(0, "digits", 0): one}), tmp_path / "a")


def test_reading_does_not_import_pandas(tmp_path):
    parquet.write(invented(), tmp_path / "a.parquet")
    code = (
        "import sys, pathlib; from bequest.measure import parquet\n"
        "parquet.read(pathlib.Path(sys.argv[1])); print('pandas' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.parquet")]
    assert subprocess.run(command, capture_output=True, text=True).stdout.strip() == "False"
