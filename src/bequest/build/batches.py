"""Texts that are asked about together: of like length, so that little is padded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from bequest.core.live import Texts

CHARACTERS = 8192  # of the texts that are asked about at once, padding included


def by_length(texts: Texts, most: int = CHARACTERS, more: int = 0) -> Iterator[NDArray[np.int64]]:
    """Places of texts of like length together, long ones first, so that little is padded.

    most: characters of a batch, counted as if each text were as long as the longest of them.
    more: characters that are written behind each text.
    """
    sizes = np.array([len(texts.whole(row)) + more for row in range(len(texts))], np.int64)
    order = np.argsort(-sizes, kind="stable")
    start = 0
    while start < len(order):
        longest = max(1, int(sizes[order[start]]))
        end = start + max(1, most // longest)
        yield order[start:end]
        start = end
