"""A recipe as read: its values, and where each was written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bequest.recipe import tree

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bequest.core.errors import Problem
    from bequest.recipe.tree import Field, Marks, Node


@dataclass(frozen=True)
class Draft:
    """A recipe that was read but not checked.

    name: stem of the file, or name of the built-in recipe.
    data: JSON-like values, bases merged and overrides applied.
    marks: where each value and key was written, by field path; always holds `()`.
    """

    name: str
    data: dict[str, Any]
    marks: Mapping[Field, Marks]

    @classmethod
    def of(cls, name: str, node: Node) -> Draft:
        """The draft of a tree whose top level is a mapping."""
        return cls(name, tree.plain(node), dict(tree.marks(node)))

    def locate(self, problem: Problem, *, key: bool = False) -> Problem:
        """The problem with its best position: the value's, or the key's where `key` is set.

        Where the field is missing it is the key of what should hold it. A position that is there
        already stays.
        """
        if problem.at is not None:
            return problem
        path = problem.field
        while path not in self.marks:
            path, key = path[:-1], True
        marks = self.marks[path]
        return replace(problem, at=marks.key if key and marks.key else marks.value)
