"""Form `directions`: factors of a change in few bits, really packed.

A group of `columns` directions with `bits` each: σ; steps (float16) and zeros of the grids of Vᵀ
and U; the codes of Vᵀ, a direction a row, and of Uᵀ. Where several grids stand in a row, the order
in which columns were visited says which column belongs to which.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.ops.bits import packed, packed_size, unpacked
from bequest.ops.factors import EXACT, Group, Part
from bequest.ops.gptq import group_count, group_of
from bequest.ops.layout import Field, Kept, joined, parted, total, whole_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]
    Bytes = NDArray[np.uint8]

_BITS = (*range(1, 9), *EXACT)
_AT_ONCE = 1 << 21  # numbers of a block, and of factors that are unpacked together
_HELD = 3 * _AT_ONCE  # numbers of V that are kept unpacked
_WIDEST = 1 << 22  # numbers of a row, as blocks are whole rows; a short run of bytes may say more


def directions(shape: tuple[int, int], parts: Sequence[Part], groupsize: int) -> Kept:
    """The groups of a change [out, in]; each part's grids have float16 steps.

    Raises:
        ValueError: their groups of columns are not of `groupsize`, or rows are longer than 2²².
    """
    _refuse_wide(shape[1])
    groups = [part.group for part in parts]
    found: dict[str, Array] = {}
    for number, part in enumerate(parts):
        each = _exact(part) if part.group.bits in EXACT else _coded(part)
        found |= {f"{number}.{name}": values for name, values in each.items()}
    about = {
        "form": "directions",
        "shape": list(shape),
        "groups": [list(group) for group in groups],
        "groupsize": groupsize,
    }
    return Kept(about, joined(_fields(shape, groups, groupsize), found))


def directions_size(shape: tuple[int, int], groups: Sequence[Group], groupsize: int) -> int:
    """Bytes of a change [out, in] in such groups."""
    return total(_fields(shape, groups, groupsize))


def code_bits(shape: tuple[int, int], groups: Sequence[Group]) -> int:
    """Bits of the codes alone, Σ bits · columns · (in + out): the paper's size."""
    return sum(group.bits * group.columns for group in groups) * sum(shape)


class Directions:
    """A change as directions; blocks are whole rows of it."""

    def __init__(self, shape: tuple[int, ...], about: Mapping[str, Any], data: Bytes) -> None:
        out, width = shape
        _refuse_wide(width)
        self._shape, self.size = (out, width), out * width
        self.step = max(8, _AT_ONCE // max(width, 1) // 8 * 8) * width
        groups = [_group(each, min(shape)) for each in about["groups"]]
        groupsize = about["groupsize"]
        if groupsize != -1 and not whole_number(groupsize, 1 << 30):
            raise ValueError("a group of no columns")
        fields = parted(_fields((out, width), groups, groupsize), data)
        self._groups = []
        for number, group in enumerate(groups):
            head = f"{number}."
            own = {name.removeprefix(head): each for name, each in fields.items()
                   if name.startswith(head)}  # fmt: skip
            self._groups.append(_Opened(group, width, groupsize, own))
        numbers = sum(group.columns for group in groups) * width
        self._right = [one.right(0, one.group.columns) for one in self._groups]  \
            if numbers <= _HELD else None  # fmt: skip

    def add(self, start: int, block: NDArray[np.float32]) -> None:
        """See `forms.Change`."""
        width = self._shape[1]
        first, rows = start // width, block.reshape(-1, width)
        for number, group in enumerate(self._groups):
            left = group.left(first, first + len(rows))  # [columns, rows], with σ
            if self._right is not None:
                rows += left.T @ self._right[number]
                continue
            for begin, end in _slabs(group.group.columns, width):
                rows += left[begin:end].T @ group.right(begin, end)


class _Opened:
    """One group, unpacked piece by piece."""

    def __init__(self, group: Group, width: int, groupsize: int, own: Mapping[str, Array]) -> None:
        self.group, self._width, self._own = group, width, own
        self._grids = {
            name: group_of(_order(own[name]), groupsize)
            for name in ("v_order", "u_order")
            if name in own
        }

    def left(self, begin: int, end: int) -> NDArray[np.float32]:
        """Rows of U with σ, as columns: [columns, end − begin]; `begin` is a multiple of 8."""
        own, bits = self._own, self.group.bits
        values: Array
        if bits in EXACT:
            values = own["u"][:, begin:end].astype(np.float32)
        else:
            run = own["u"][:, begin * bits // 8 : packed_size(end, bits)]
            codes = unpacked(run, bits, end - begin)
            grid = self._grid("u", begin, end)
            values = grid[0].T * (codes - grid[1].T)
        values *= own["sigma"][:, None]
        return values

    def right(self, begin: int, end: int) -> NDArray[np.float32]:
        """Some directions of Vᵀ: [end − begin, in]."""
        own, bits = self._own, self.group.bits
        if bits in EXACT:
            return own["v"][begin:end].astype(np.float32)
        codes = unpacked(own["v"][begin:end], bits, self._width)
        scale, zero = self._grid("v", begin, end)
        found: Array = scale * (codes - zero)
        return found

    def _grid(self, side: str, begin: int, end: int) -> tuple[Array, Array]:
        """Step and zero for each entry of some rows, or for all of a row: float32."""
        scales = self._own[f"{side}_scales"][begin:end].astype(np.float32)
        zeros = unpacked(self._own[f"{side}_zeros"][begin:end], self.group.bits, scales.shape[1])
        if scales.shape[1] > 1:
            group = self._grids[f"{side}_order"]
            scales, zeros = scales[:, group], zeros[:, group]
        return scales, zeros.astype(np.float32)


def _fields(shape: tuple[int, int], groups: Sequence[Group], groupsize: int) -> list[Field]:
    found = []
    for number, group in enumerate(groups):
        each = _exact_fields(shape, group) if group.bits in EXACT else \
            _coded_fields(shape, group, groupsize)  # fmt: skip
        found += [field._replace(name=f"{number}.{field.name}") for field in each]
    return found


def _exact_fields(shape: tuple[int, int], group: Group) -> list[Field]:
    kind, columns = f"<f{group.bits // 8}", group.columns
    return [
        Field("sigma", "<f4", (columns,)),
        Field("v", kind, (columns, shape[1])),
        Field("u", kind, (columns, shape[0])),
    ]


def _coded_fields(shape: tuple[int, int], group: Group, groupsize: int) -> list[Field]:
    (out, width), (bits, columns) = shape, group
    of_v, of_u = group_count(width, groupsize), group_count(columns, groupsize)
    orders = [("v_order", width, of_v), ("u_order", columns, of_u)]
    return [
        Field("sigma", "<f4", (columns,)),
        *(Field(name, "<u4" if count > 1 << 16 else "<u2", (count,))
          for name, count, several in orders if several > 1),
        Field("v_scales", "<f2", (columns, of_v)),
        Field("u_scales", "<f2", (out, of_u)),
        Field("v_zeros", "<u1", (columns, packed_size(of_v, bits))),
        Field("u_zeros", "<u1", (out, packed_size(of_u, bits))),
        Field("v", "<u1", (columns, packed_size(width, bits))),
        Field("u", "<u1", (columns, packed_size(out, bits))),
    ]  # fmt: skip


def _exact(part: Part) -> dict[str, Array]:
    return {"sigma": part.sigma, "v": part.v, "u": part.u.T}


def _coded(part: Part) -> dict[str, Array]:
    bits = part.group.bits
    return {
        "sigma": part.sigma,
        "v_order": part.v.order,
        "u_order": part.u.order,
        "v_scales": part.v.scales,
        "u_scales": part.u.scales,
        "v_zeros": packed(part.v.zeros, bits),
        "u_zeros": packed(part.u.zeros, bits),
        "v": packed(part.v.codes, bits),
        "u": packed(part.u.codes.T, bits),
    }


def _order(told: Array) -> NDArray[np.int64]:
    if int(told.max()) >= len(told) or (np.bincount(told, minlength=len(told)) != 1).any():
        raise ValueError("an order in which a column is missing")
    return told.astype(np.int64)


def _group(told: Any, most: int) -> Group:
    bits, columns = told
    if bits not in _BITS or type(bits) is not int:
        raise ValueError(f"directions are kept in {', '.join(map(str, _BITS))} bits")
    return Group(bits, whole_number(columns, most))


def _refuse_wide(width: int) -> None:
    if width > _WIDEST:
        raise ValueError(f"rows of {width} numbers; at most {_WIDEST} can be put together")


def _slabs(columns: int, width: int) -> Iterator[tuple[int, int]]:
    each = max(1, _AT_ONCE // max(width, 1))
    for begin in range(0, columns, each):
        yield begin, min(begin + each, columns)
