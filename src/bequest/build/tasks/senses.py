"""WordNet's senses: an example sentence finds the gloss of the sense it is an example of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from bequest.build.finding import fetched, path_problems
from bequest.build.searching import SearchSettings
from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from bequest.build.retrieval import Retrieval


class Senses(SearchSettings):
    """Example sentences (queries) search the glosses of WordNet (items) for that of their sense.

    Which sentence belongs to which gloss was decided by WordNet's authors, not by a model. The
    gallery holds glosses of senses with examples, chosen by their content.
    """

    path: str = Field("wordnet", min_length=1, description="The asset, or a folder of data files.")
    glosses: int = Field(10_000, ge=2, description="Glosses in the gallery.")
    test: float = Field(
        0.1, gt=0, le=1, description="Share of the glosses whose sentences are the test."
    )

    def check(self) -> list[Problem]:
        """The files and the index."""
        return [*super().check(), *path_problems(self.path)]

    def load(self, name: str) -> Retrieval:
        """Glosses and sentences.

        Raises:
            RequestError: WordNet can't be had, or has fewer senses with examples.
        """
        from bequest.build.searches import Collected, searches
        from bequest.build.splitting import content_ids, sampled
        from bequest.build.wordnet import senses

        told = {one.gloss: one for one in senses(fetched(self.path)) if one.examples and one.gloss}
        if len(told) < self.glosses:
            what = f"there are {len(told)} different glosses of senses with examples"
            raise RequestError(Problem(what, f"at most {len(told)}", ("glosses",)))
        ids = content_ids(gloss.encode() for gloss in told)
        there = list(told.values())
        chosen = [there[row] for row in sampled(ids, self.glosses).tolist()]
        queries: dict[str, list[str]] = {}
        for one in chosen:
            for example in one.examples:
                queries.setdefault(example, []).append(one.name)
        return searches(self, name, Collected({one.name: one.gloss for one in chosen}, queries))
