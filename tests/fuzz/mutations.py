"""Good bytes made bad: blindly, as text, and by what their format means."""

from __future__ import annotations

import hashlib
import json
import pickle
import re
import struct

MARK = "planted_by_the_fuzzer"
NUMBERS = [
    0,
    1,
    -1,
    2**15,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**40,
    2**53,
    2**63 - 1,
    2**64 - 1,
    10**9,
    10**30,
]
ODD = [
    *NUMBERS,
    0.5,
    1e308,
    float("inf"),
    float("nan"),
    None,
    True,
    "",
    [],
    {},
    [[]],
    "\0",
    "\ud800",
    "../../../../tmp/" + MARK,
    "/etc/passwd",
    "~",
    "a" * 5000,
    "os:system",
    f"{MARK}:Model",
    {"$tensor": "0"},
    {"$tuple": 3},
    {"$array": "zz"},
    {"$float": "x"},
    {"$pairs": [[1]]},
]
YAML = [
    f"!!python/object/apply:os.system ['touch {MARK}']",
    f"!!python/name:os.system {MARK}",
    "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\n"
    "d: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e]\n",
    "&a [*a]",
    "<<: {a: 1}",
    "? [a]\n: b",
    "%YAML 9.9\n---",
    "---\n---\n",
    "\t- x",
    "extend: ../../etc/passwd",
]
WORDS = [
    "{{ cycler.__init__.__globals__.os.system('touch x') }}",
    "=1+1",
    "'; --",
    "\\u0000",
    "﻿",
    "\r",
    "\n\n",
    '"',
    ",",
    "\x00",
    "\u2028",
    "NaN",
    "-inf",
    "1e999",
    "9" * 400,
    "[" * 3000,
    '{"a":' * 3000,
]


class _Bomb:
    def __reduce__(self):
        import os

        return os.system, (f"touch {MARK}",)


PICKLE = pickle.dumps(_Bomb())
NPY = (
    b"\x93NUMPY\x01\x00"
    + struct.pack("<H", 54)
    + b"{'descr': '|O', 'fortran_order': False, 'shape': (1,)}\n"
)


def mutated(data: bytes, suffix: str, draw) -> bytes:
    """Another file made of a good one, by the format that its name's ending stands for."""
    ways = [blind, blind]
    if suffix in _TEXTS:
        ways += [as_text, as_text]
    ways += 4 * [_FORMATS[suffix]] if suffix in _FORMATS else []
    way = draw.choice(ways)
    for _ in range(draw.choice([1, 1, 1, 2, 4])):
        try:
            data = way(data, draw)
        except Exception:  # noqa: BLE001 - it is no good file of its format any more
            data = blind(data, draw)
    return data


def blind(data: bytes, draw) -> bytes:
    """Other bytes at some place, or fewer, or more."""
    place = draw.randrange(len(data) + 1)
    if draw.random() < 0.4:  # headers come first
        place = min(place, draw.randrange(300))
    size = draw.choice([1, 2, 4, 8, 64])
    before, behind = data[:place], data[place:]
    width = draw.choice(["<B", "<H", "<I", "<Q"])
    number = struct.pack(width, draw.choice(NUMBERS) % (1 << 8 * struct.calcsize(width)))
    ways = [
        lambda: before,
        lambda: before + draw.randbytes(size) + behind,
        lambda: before + behind[size:],
        lambda: before + draw.randbytes(size) + behind[size:],
        lambda: before + bytes(size) + behind,
        lambda: before + data[draw.randrange(len(data) + 1) :][:2000] + behind,
        lambda: before + number + behind[len(number) :],
        *3 * [lambda: _flipped(data, draw)],
    ]
    if draw.random() < 0.03:
        ways = [lambda: draw.choice([b"", PICKLE, NPY + PICKLE, data + PICKLE, bytes(4096)])]
    return draw.choice(ways)()


def _flipped(data: bytes, draw) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.choice([1, 1, 2, 8]) if data else 0):
        changed[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def as_text(data: bytes, draw) -> bytes:
    text = data.decode()
    kind = draw.randrange(5)
    if kind == 0 and (found := list(re.finditer(r"-?\d+(\.\d+)?", text))):
        one = draw.choice(found)
        value = draw.choice([*map(str, NUMBERS), "NaN", "1e999", "-1", "", "0x10", "1_000"])
        return (text[: one.start()] + value + text[one.end() :]).encode()
    if kind == 1 and (found := list(re.finditer(r"\w+", text))):
        one, other = draw.choice(found), draw.choice(found)
        return (text[: one.start()] + draw.choice([other[0], *WORDS]) + text[one.end() :]).encode()
    lines = text.split("\n")
    place = draw.randrange(len(lines))
    if kind == 2:
        lines.insert(place, draw.choice(lines))
    elif kind == 3:
        lines[place] += draw.choice(WORDS)
    else:
        del lines[place]
    return "\n".join(lines).encode()


def as_yaml(data: bytes, draw) -> bytes:
    lines = data.decode().split("\n")
    place = draw.randrange(len(lines))
    if draw.random() < 0.5 and ":" in lines[place]:
        head = lines[place].partition(":")[0]
        value = draw.choice(
            [*YAML, *map(repr, ODD), "[" * 60, "{a: " * 3000, "*a", "!!binary aa", "|", "@x"]
        )
        lines[place] = f"{head}: {value}"
    else:
        lines.insert(place, draw.choice(YAML))
    return "\n".join(lines).encode(errors="surrogatepass")


def as_json(data: bytes, draw) -> bytes:
    value = json.loads(data)
    sealed = isinstance(value, dict) and "checksum" in value
    if sealed:
        value.pop("checksum")
    value = changed(value, draw)
    if sealed and isinstance(value, dict):
        text = json.dumps(value, sort_keys=True)
        value["checksum"] = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    if not sealed and draw.random() < 0.05:
        return b"[" * 20000
    return json.dumps(value).encode(errors="surrogatepass")


def as_json_lines(data: bytes, draw) -> bytes:
    lines = data.split(b"\n")
    place = draw.randrange(len(lines))
    lines[place] = as_json(lines[place], draw)
    return b"\n".join(lines)


def changed(value, draw):
    """A JSON value with one thing in it replaced, removed, doubled or moved."""
    places = list(_places(value))
    if not places or draw.random() < 0.02:
        return draw.choice(ODD)
    holder, key = draw.choice(places)
    kind = draw.randrange(6)
    if kind == 0:
        del holder[key]
    elif kind == 1:
        other, there = draw.choice(places)
        holder[key] = json.loads(json.dumps(other[there]))
    elif kind == 2 and isinstance(holder[key], list | str):
        holder[key] = holder[key] * draw.choice([0, 2, 50])
    elif kind == 3:
        for _ in range(draw.choice([1, 3, 600])):
            holder[key] = [holder[key]]
    elif kind == 4 and isinstance(holder[key], int | float):
        holder[key] = draw.choice([-holder[key], holder[key] + 1, holder[key] * 1000, *NUMBERS])
    else:
        holder[key] = draw.choice(ODD)
    return value


def _places(value):
    each = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(each):
        yield value, key
        if isinstance(inner, dict | list):
            yield from _places(inner)


def as_tensors(data: bytes, draw) -> bytes:
    """A header with other shapes, names, types; a body that may fit it."""
    length = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    if draw.random() < 0.3 and (names := [name for name in header if name[0] != "_"]):
        one = header[draw.choice(names)]
        one["shape"] = draw.choice(
            [one["shape"][::-1], [], [0], [-1], [2**40, 2**40], [1] * 70, [0] * 999]
        )
    elif "bequest" in header.get("__metadata__", {}) and draw.random() < 0.5:
        header["__metadata__"]["bequest"] = as_json(
            header["__metadata__"]["bequest"].encode(), draw
        ).decode()
    else:
        header = changed(header, draw)
    text = json.dumps(header).encode(errors="surrogatepass")
    size = draw.choice([len(text)] * 6 + [0, 2**63, len(data)])
    return size.to_bytes(8, "little") + text + body


def as_gguf(data: bytes, draw) -> bytes:
    """Another number in the header, where its metadata and tensors are described."""
    names = [
        found.end()
        for found in re.finditer(
            rb"llama\.[a-z_.]+|tokenizer\.[a-z_.]+|\.weight|general\.[a-z]+", data
        )
    ]
    place = draw.choice([4, 8, 16, *(end + step for end in names for step in (0, 4, 8, 12, 16))])
    kind = draw.choice(["<I", "<Q"])
    value = draw.choice(NUMBERS + list(range(14))) % (1 << 8 * struct.calcsize(kind))
    return data[:place] + struct.pack(kind, value) + data[place + struct.calcsize(kind) :]


def as_parquet(data: bytes, draw) -> bytes:
    """A valid file with other columns, or another description of them."""
    import io
    import warnings

    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(data))
    about = dict(table.schema.metadata or {})
    if b"bequest" in about and draw.random() < 0.6:
        about[b"bequest"] = as_json(about[b"bequest"], draw)
        table = table.replace_schema_metadata(about)
    else:
        place = draw.randrange(table.num_columns)
        name = table.column_names[place]
        column = _column(table, draw)
        if column is None:
            table = draw.choice(
                [
                    table.slice(0, 0),
                    table.remove_column(place),
                    table.append_column(name, table[name]),
                    pa.concat_tables([table, table]),
                ]
            )
        else:
            table = table.set_column(place, name, column)
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pq.write_table(table, out)
    return out.getvalue()


def _column(table, draw):
    import datetime
    import decimal

    import pyarrow as pa

    n = table.num_rows
    values = [
        None,
        [None] * n,
        [float("nan")] * n,
        [float("inf")] * n,
        [2**62] * n,
        [-(2**62)] * n,
        [1e308] * n,
        [b"\xff"] * n,
        ["x" * 3000] * n,
        [[1, 2]] * n,
        [{"a": 1}] * n,
        [decimal.Decimal("1.5")] * n,
        [datetime.datetime(2020, 1, 1)] * n,
        [True] * n,
        list(range(n)),
        list(map(str, range(n))),
        [0.5] * n,
        [""] * n,
        ["a", None] * (n // 2) + ["b"] * (n % 2),
    ]
    chosen = draw.choice(values)
    return None if chosen is None else pa.array(chosen)


def as_cache(data: bytes, draw) -> bytes:
    """Another header of a NumPy file."""
    shape = draw.choice(
        ["(2305843009213693952,)", "(-1,)", "(1.5, 2)", "()", "(8, 3, " * 50, "__import__('os')"]
    )
    kind = draw.choice(["'|O'", "'<f4'", "'<f8'", "'V0'", "[('a', '|O')]", "3"])
    text = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + data[128:]


def as_archive(data: bytes, draw) -> bytes:
    """A valid archive with other entries."""
    import io
    import zipfile

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in draw.sample(
            ["some/model.gguf", "../../" + MARK, "/tmp/" + MARK, "some-1.dist-info/LICENSE"], 2
        ):
            archive.writestr(name, draw.choice([b"weights" * 50, b"", bytes(1 << 22), PICKLE]))
    return out.getvalue()


_TEXTS = {".yaml", ".txt", ".csv", ".json", ".jsonl"}
_FORMATS = {
    ".yaml": as_yaml,
    ".json": as_json,
    ".jsonl": as_json_lines,
    ".safetensors": as_tensors,
    ".checkpoint": as_tensors,
    ".gguf": as_gguf,
    ".parquet": as_parquet,
    ".npy": as_cache,
    ".whl": as_archive,
}
