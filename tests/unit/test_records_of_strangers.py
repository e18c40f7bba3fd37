"""Files of records that are not what they seem."""

from __future__ import annotations

import json

import pytest

from bequest.build.documents import records
from bequest.core.errors import RequestError


def test_half_a_surrogate_pair_is_refused_wherever_it_stands(tmp_path):
    place = tmp_path / "facts.jsonl"
    place.write_text(json.dumps({"wrong": ["Oslo \U0001f600"]}) + "\n")
    assert len(list(records(str(place)))) == 1
    place.write_text(json.dumps({"wrong": ["Oslo \ud83d"]}) + "\n")
    with pytest.raises(RequestError, match="surrogate"):
        list(records(str(place)))


@pytest.mark.parametrize("name", ["data.noun", "lexnames"])
def test_a_dictionary_that_is_no_text_is_a_problem(tmp_path, name):
    (tmp_path / "data.noun").write_text("00000001 03 n 01 word 0 000 | a gloss\n")
    assert len(list(records(str(tmp_path / "data.noun")))) == 1
    (tmp_path / name).write_bytes(b"\xff\xfe")
    with pytest.raises(RequestError, match="not a data file"):
        list(records(str(tmp_path / "data.noun")))
