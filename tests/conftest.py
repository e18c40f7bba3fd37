"""What every test may use."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
# Test files may share a name; what they import from beside them is found by these.
sys.path[:0] = sorted(str(folder) for folder in HERE.glob("[a-z]*/"))


@pytest.fixture
def workdir(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
