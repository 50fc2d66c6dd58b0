"""The mcodec format as one plain program, in the order of the pages of this folder.

It is written from the pages alone, shares no code with the library, and is clear rather than fast:
a second opinion on what a file means. ``python reference_decoder.py FILE`` prints one line for
each tensor (task, name, dtype, shape, SHA-256 of its bytes), or the reason code of a refusal.

Needs ``bitarray``, ``blake3``, ``xxhash`` and ``zstandard``.
"""

# The pages are the documentation of what is here: names follow theirs.
# ruff: noqa: D101, D102, D401

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
import struct
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import zstandard
from bitarray import bitarray
from blake3 import blake3
from xxhash import xxh3_64_intdigest

if TYPE_CHECKING:
    from collections.abc import Iterator


class Refused(Exception):  # noqa: N818
    """A file that breaks a rule; ``code`` is a reason of errors.md."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


def need(condition: object, code: str, message: str) -> None:
    if not condition:
        raise Refused(code, message)


# ---- container.md 7: limits -----------------------------------------------------------------
MAX_TENSORS, MAX_ROWS, MAX_TASKS, MAX_DIMENSIONS, MAX_NAME = 2**20, 2**23, 2**16, 64, 4096
MAX_ELEMENTS, MAX_RAW, MAX_FRONT, MAX_DEPTH, MAX_WINDOW = 2**48, 2**26, 2**29, 32, 2**23


# ---- container.md 1: header -----------------------------------------------------------------
MAGIC = bytes.fromhex("894D43440D0A1A0A")
PROGRESSIVE = 2


class Header(NamedTuple):
    magic: bytes
    major: int
    minor: int
    kind: int
    layout: int
    flags: int
    file_length: int
    front_offset: int
    manifest_stored: int
    manifest_raw: int
    row_count: int
    reserved: int
    front_hash: int
    header_hash: int

    @property
    def padded(self) -> int:
        return -(-self.manifest_stored // 8) * 8

    @property
    def front_length(self) -> int:
        return self.padded + 32 * self.row_count


def read_header(data: bytes, partial: bool) -> Header:
    need(data[:8] == MAGIC, "not_mcodec", "no magic bytes")
    need(len(data) >= 64, "file_truncated", "no whole header")
    h = Header(*struct.unpack("<8sBBBBIQQIIIIQQ", data[:64]))
    need(h.major == 1, "version_unsupported", f"major version {h.major}")
    need(h.header_hash == xxh3_64_intdigest(data[:56]), "header_checksum", "header hash")
    sound = h.kind == 1 and h.layout <= PROGRESSIVE and h.flags == 0 and h.reserved == 0
    need(sound, "header_invalid", "kind, layout, flags or reserved")
    cut_off = partial and h.layout == PROGRESSIVE  # section 8
    need(len(data) >= h.file_length or cut_off, "file_truncated", "shorter than File_Length")
    need(len(data) <= h.file_length, "trailing_data", "longer than File_Length")
    small = h.row_count <= MAX_ROWS and max(h.manifest_raw, h.front_length) <= MAX_FRONT
    need(small, "limit_exceeded", "rows, manifest or front")
    end = h.front_offset + h.front_length
    sound = h.front_offset % 64 == 0 and h.front_offset >= 64 and end <= h.file_length
    need(sound, "front_bounds", "front offset")
    need(end <= len(data), "file_truncated", "no whole front")
    front = data[h.front_offset : end]
    need(h.front_hash == xxh3_64_intdigest(front), "front_checksum", "front hash")
    return h


# ---- container.md 2: manifest ---------------------------------------------------------------
def parse_json(text: bytes) -> Any:
    plain = re.sub(rb'"(?:[^"\\]|\\.)*+"?', b"", text, flags=re.DOTALL)
    steps = (1 if b in b"[{" else -1 for b in re.findall(rb"[\[\]{}]", plain))
    need(max(itertools.accumulate(steps), default=0) <= MAX_DEPTH, "limit_exceeded", "JSON depth")

    def no_constant(name: str) -> None:
        raise ValueError(name)

    try:
        value = json.loads(text.decode("utf-8"), parse_constant=no_constant)
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # refuses lone surrogates
    except ValueError as error:
        raise Refused("manifest_invalid", f"JSON: {error}") from error
    return value


def is_int(x: object) -> bool:
    return type(x) is int


def is_dimension(x: object) -> bool:
    return type(x) is int and x >= 0


def is_list_of(x: object, test: Any) -> bool:
    return isinstance(x, list) and all(map(test, x))


def is_number(x: object) -> bool:
    return type(x) in (int, float)


def is_codec(x: object) -> bool:
    return isinstance(x, dict) and isinstance(x.get("id"), str)


def is_run(x: object) -> bool:
    if not (isinstance(x, list) and len(x) == 6):
        return False
    codec, dtype, members, digest, source, errors = x

    def is_error(e: Any) -> bool:
        return e is None or (is_list_of(e, is_number) and len(e) == 3)

    return (
        is_int(codec)
        and isinstance(dtype, str)
        and is_list_of(members, lambda shape: is_list_of(shape, is_dimension))
        and isinstance(digest, str)
        and isinstance(source, str | None)
        and (errors is None or is_list_of(errors, is_error))
    )


def is_tensor(x: object) -> bool:
    if not (isinstance(x, list) and len(x) == 3):
        return False
    return isinstance(x[0], str) and is_int(x[1]) and is_int(x[2])


def is_task(x: object) -> bool:
    if not isinstance(x, dict):
        return False
    metadata = x.get("metadata", {})
    return (
        isinstance(x.get("name"), str)
        and is_list_of(x.get("tensors"), is_tensor)
        and isinstance(metadata, dict)
        and all(isinstance(v, str) for v in metadata.values())
        and isinstance(x.get("format", ""), str)
        and is_int(x.get("skeleton", 0))
    )


def read_manifest(data: bytes, h: Header) -> dict[str, Any]:
    front = data[h.front_offset : h.front_offset + h.padded]
    frame, padding = front[: h.manifest_stored], front[h.manifest_stored :]
    text = read_frame(frame, h.manifest_raw, "manifest_corrupt")
    need(not any(padding), "manifest_corrupt", "padding of the manifest")
    m = parse_json(text)
    sound = (
        isinstance(m, dict)
        and is_list_of(m.get("codecs"), is_codec)
        and is_list_of(m.get("runs"), is_run)
        and is_list_of(m.get("tasks"), is_task)
        and is_list_of(m.get("pairs", []), lambda p: is_list_of(p, is_int) and len(p) >= 2)
    )
    need(sound, "manifest_invalid", "not the objects and types of section 2")
    assert isinstance(m, dict)
    return m


# ---- container.md 3: dtypes -----------------------------------------------------------------
ITEMSIZE = {
    **dict.fromkeys(["bool", "int8", "uint8", "float8_e4m3fn", "float8_e4m3fnuz"], 1),
    **dict.fromkeys(["float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu"], 1),
    **dict.fromkeys(["int16", "uint16", "float16", "bfloat16"], 2),
    **dict.fromkeys(["int32", "uint32", "float32"], 4),
    **dict.fromkeys(["int64", "uint64", "float64", "complex64"], 8),
    "complex128": 16,
}


def itemsize(dtype: str) -> int:
    if re.fullmatch("V[1-9][0-9]{0,4}", dtype) and int(dtype[1:]) <= 65536:
        return int(dtype[1:])
    need(dtype in ITEMSIZE, "dtype_unknown", f"dtype {dtype!r}")
    return ITEMSIZE[dtype]


# ---- container.md 4: runs, rows, blocks and streams -----------------------------------------
class Stream(NamedTuple):
    name: str
    length: int
    level: int = 0
    variable: bool = False  # then `length` is the largest


class Row(NamedTuple):
    offset: int
    stored: int
    raw: int
    hash: int
    coder: int
    fill: int
    first: int
    streams: int
    mode: int
    reserved: bytes


FILL, RAW, ZSTD = 0, 1, 2
Placed = tuple[Row, list[Stream]]  # a chunk and what it holds


@dataclass
class Run:
    codec: Codec
    codec_id: str
    dtype: str
    itemsize: int
    shapes: list[list[int]]
    digest: str
    starts: list[int] = field(default_factory=list)
    count: int = 0  # N
    head: list[Placed] = field(default_factory=list)
    blocks: list[list[Placed]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for shape in self.shapes:
            self.starts.append(-(-self.count // 8) * 8)
            self.count = self.starts[-1] + math.prod(shape)

    @property
    def block(self) -> int:  # B
        big = max(0, (self.itemsize - 1).bit_length() - 8)  # from 256 bytes an element on
        return 1 << (18 - big)

    def extent(self, block: int) -> tuple[int, int]:
        """Where a block starts, and its elements n."""
        start = block * self.block
        return start, min(self.block, self.count - start)

    def members(self, start: int, n: int) -> Iterator[tuple[int, int, int]]:
        """(member, begin, end), in elements of the run, of what [start, start + n) holds."""
        for i, (place, shape) in enumerate(zip(self.starts, self.shapes, strict=True)):
            begin, end = max(place, start), min(place + math.prod(shape), start + n)
            if begin < end:
                yield i, begin, end


def stagger(stream: Stream) -> int:
    """The zero bytes behind a stream that is not the last of a shared raw chunk."""
    return 64 if stream.length and stream.length % 4096 == 0 else 0


def check_row(row: Row) -> None:
    need(row.coder <= ZSTD and row.reserved == bytes(3), "row_invalid", "coder or reserved")
    need(row.coder == FILL or row.fill == 0, "row_invalid", "a fill byte without fill")
    if row.coder == FILL:
        sound = row.offset == row.stored == 0 and row.hash == xxh3_64_intdigest(b"")
    elif row.coder == RAW:
        sound = row.stored == row.raw
    else:
        sound = row.stored >= 1
    sound = sound and row.streams >= 1
    need(sound, "row_invalid", "offset, stored, hash or streams against the coder")
    need(row.raw <= MAX_RAW, "limit_exceeded", "raw length of a chunk")


def check_place(row: Row, held: list[Stream], file_length: int) -> None:
    alone = len(held) == 1 or (row.coder != ZSTD and not any(s.variable for s in held))
    need(alone, "row_length", "streams that cannot share a chunk")
    raw = sum(s.length for s in held)
    if row.coder == RAW:
        raw += sum(map(stagger, held[:-1]))
    fits = row.raw <= raw if held[0].variable else row.raw == raw
    need(fits, "row_length", f"raw length {row.raw}, the streams need {raw}")
    aligned = row.offset % (64 if row.stored >= 4096 else 8) == 0
    inside = 64 <= row.offset <= file_length - row.stored
    if row.stored == 0:
        inside = row.offset == 0
    need(aligned and inside, "row_bounds", f"a chunk of {row.stored} bytes at {row.offset}")


def cover(rows: Iterator[Row], run: Run, block: int | None, file_length: int) -> list[Placed]:
    """Take the rows of one block (None: of the head)."""
    placed: list[Placed] = []
    streams: list[Stream] = []
    done = mode = 0
    while not placed or done < len(streams):
        row = next(rows, None)
        if row is None:
            raise Refused("row_order", "rows are missing")
        check_row(row)
        need(row.first == done, "row_order", f"stream {row.first} where {done} is next")
        if not placed:
            mode = row.mode
            need(mode in run.codec.modes if block is not None else mode == 0, "row_invalid", "mode")
            streams = run.codec.streams_of(run, block, mode)
        done += row.streams
        held = streams[row.first : done]
        need(done <= len(streams), "row_order", "more streams than the block has")
        need(row.mode == mode, "row_invalid", "two modes in one block")
        check_place(row, held, file_length)
        placed.append((row, held))
    return placed


def read_rows(data: bytes, h: Header, runs: list[Run]) -> list[tuple[int, int]]:
    """Rule 13: give each run the rows of its head and its blocks; return what lies where."""
    table = data[h.front_offset + h.padded : h.front_offset + h.front_length]
    rows = map(Row._make, struct.iter_unpack("<QIIQBBBBB3s", table))
    spans = [(0, 64), (h.front_offset, h.front_offset + h.front_length)]
    for run in runs:
        if run.codec.streams_of(run, None, 0):
            run.head = cover(rows, run, None, h.file_length)
        for start in range(0, run.count, run.block):
            run.blocks.append(cover(rows, run, start // run.block, h.file_length))
        for row, _ in itertools.chain(run.head, *run.blocks):
            if row.stored:
                spans.append((row.offset, row.offset + row.stored))
    need(next(rows, None) is None, "row_order", "rows are left over")
    spans.sort()
    for (_, end), (begin, _) in itertools.pairwise(spans):
        need(end <= begin, "row_overlap", f"two things at {begin}")
    return spans


def read_chunk(data: bytes, row: Row, held: list[Stream]) -> dict[str, bytes]:
    stored = data[row.offset : row.offset + row.stored]
    need(row.hash == xxh3_64_intdigest(stored), "chunk_checksum", f"chunk at {row.offset}")
    if row.coder == FILL:
        raw = bytes([row.fill]) * row.raw
    else:
        raw = stored if row.coder == RAW else read_frame(stored, row.raw, "chunk_corrupt")
    streams, at = {}, 0
    for i, s in enumerate(held):
        end = at + (row.raw if s.variable else s.length)
        streams[s.name], at = raw[at:end], end
        if row.coder == RAW and i < len(held) - 1:
            need(not any(raw[at : at + stagger(s)]), "stream_invalid", "bytes of a stagger")
            at += stagger(s)
    return streams


# ---- container.md 5: zstd frames ------------------------------------------------------------
def read_frame(frame: bytes, raw: int, code: str) -> bytes:
    """Decode one frame of RFC 8878 that states `raw` as its content size."""
    try:
        descriptor = frame[4]
        single, size_flag, id_flag = descriptor >> 5 & 1, descriptor >> 6, descriptor & 3
        at = 5
        window = 0
        if not single:
            base = 1 << (10 + (frame[5] >> 3))
            window, at = base + base // 8 * (frame[5] & 7), 6
        id_end = at + [0, 1, 2, 4][id_flag]
        at = id_end + [single, 2, 4, 8][size_flag]
        size = int.from_bytes(frame[id_end:at], "little") + (256 if size_flag == 1 else 0)
        sound = (
            frame[:4] == bytes.fromhex("28B52FFD")
            and (single or size_flag)
            and size == raw
            and max(window, single * size) <= MAX_WINDOW
            and not any(frame[id_end - [0, 1, 2, 4][id_flag] : id_end])
            and descriptor & 4 == 0
        )
        last = 0
        while sound and not last:  # the block headers lead to the frame's end
            block = frame[at] | frame[at + 1] << 8 | frame[at + 2] << 16
            last, kind, length = block & 1, block >> 1 & 3, block >> 3
            at += 3 + (1 if kind == 1 else length)
        need(sound and at == len(frame), code, "the frame's header, or its end")
        reader = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).stream_reader(frame)
        content = reader.read(raw + 1)
    except (IndexError, zstandard.ZstdError) as error:
        raise Refused(code, f"zstd: {error}") from error
    need(len(content) == raw, code, "the frame's content size")
    return content


# ---- container.md 6: what a reader checks, rules 7 to 12 ------------------------------------
def check_counts(m: dict[str, Any]) -> None:
    tensors = sum(len(t["tensors"]) for t in m["tasks"])
    members = sum(len(r[2]) for r in m["runs"])
    sound = max(tensors, members) <= MAX_TENSORS
    sound = sound and max(len(m["tasks"]), len(m["codecs"])) <= MAX_TASKS
    need(sound, "limit_exceeded", "number of codecs, tasks, tensors or members")


def read_codec(config: dict[str, Any]) -> Codec:
    need(config["id"] in CODECS, "codec_unknown", f"codec {config['id']!r}")
    return CODECS[config["id"]](config)


def check_errors(members: int, source: str | None, errors: list[Any] | None) -> bool:
    if source is None or errors is None:
        return source is None and errors is None
    numbers = [x for e in errors if e is not None for x in e]
    return len(errors) == members and all(0 <= x <= sys.float_info.max for x in numbers)


def read_run(item: list[Any], codecs: list[Codec], configs: list[dict[str, Any]]) -> Run:
    index, dtype, shapes, digest, source, errors = item
    need(0 <= index < len(codecs), "manifest_reference", f"codec {index}")
    size = itemsize(dtype)
    for shape in shapes:
        sound = len(shape) <= MAX_DIMENSIONS and all(d < MAX_ELEMENTS for d in shape)
        sound = sound and math.prod(d for d in shape if d) < MAX_ELEMENTS
        need(sound, "limit_exceeded", "dimensions of a member")
    need(shapes, "manifest_invalid", "a run of no members")
    run = Run(codecs[index], configs[index]["id"], dtype, size, shapes, digest)
    need(run.count < MAX_ELEMENTS, "limit_exceeded", "elements of a run")
    hexes = [digest] if source is None else [digest, source]
    sound = all(re.fullmatch("[0-9a-f]{64}", text) for text in hexes)
    sound = sound and check_errors(len(shapes), source, errors)
    need(sound, "manifest_invalid", "digests or errors of a run")
    run.codec.check(run)
    return run


def check_name(name: str, seen: set[str]) -> None:
    need(len(name.encode("utf-8")) <= MAX_NAME, "limit_exceeded", "length of a name")
    need(name not in seen, "manifest_invalid", f"the name {name!r} twice")
    seen.add(name)


def check_tasks(tasks: list[dict[str, Any]], runs: list[Run]) -> None:
    names: set[str] = set()
    for task in tasks:
        need(task["name"], "manifest_invalid", "a task with an empty name")
        check_name(task["name"], names)
        tensors: set[str] = set()
        for name, run, member in task["tensors"]:
            check_name(name, tensors)
            there = 0 <= run < len(runs) and 0 <= member < len(runs[run].shapes)
            need(there, "manifest_reference", f"run {run}, member {member}")
        if "skeleton" in task:
            there = 0 <= task["skeleton"] < len(runs)
            blob = runs[task["skeleton"]] if there else None
            sound = blob and blob.dtype == "uint8" and [len(s) for s in blob.shapes] == [1]
            need(sound, "manifest_reference", f"skeleton {task['skeleton']}")


def check_pairs(pairs: list[list[int]], runs: list[Run]) -> None:
    seen: set[int] = set()
    for pair in pairs:
        for index in pair:
            sound = 0 <= index < len(runs) and index not in seen
            need(sound, "manifest_reference", f"pair of {index}")
            seen.add(index)
        kinds = [(runs[i].dtype, runs[i].shapes, runs[i].codec_id) for i in pair]
        need(all(k == kinds[0] for k in kinds), "manifest_reference", "a pair of unequal runs")


def check_budget(tasks: list[dict[str, Any]], runs: list[Run], budget: int) -> None:
    for task in tasks:
        named = [(r, m) for _, r, m in task["tensors"]]
        named += [(task["skeleton"], 0)] if "skeleton" in task else []
        size = sum(runs[r].itemsize * math.prod(runs[r].shapes[m]) for r, m in named)
        need(size <= budget, "decoded_too_large", f"task {task['name']!r} decodes to {size} bytes")


# ---- codecs/README.md -----------------------------------------------------------------------
class Ask(NamedTuple):
    """What a derived decode wants; `below` is the integers of the next run of the pair."""

    planes: int | None = None
    mid: bool | None = None
    below: tuple[list[int], int] | None = None


class Codec:
    modes: tuple[int, ...] = (0,)

    def __init__(self, config: dict[str, Any], *keys: str) -> None:
        unknown = set(config) - {"id", *keys}
        need(not unknown, "codec_config", f"unknown keys {sorted(unknown)}")

    def check(self, run: Run) -> None:
        """Refuse a run that the configuration does not fit."""

    def head(self, run: Run) -> list[Stream]:
        return []

    def block(self, run: Run, n: int, mode: int) -> list[Stream]:
        raise NotImplementedError

    def streams_of(self, run: Run, block: int | None, mode: int) -> list[Stream]:
        return self.head(run) if block is None else self.block(run, run.extent(block)[1], mode)

    def parse(self, run: Run, block: int, streams: dict[str, bytes]) -> Any:
        """Check the streams of a block and its head, and take them apart into fields."""
        raise NotImplementedError

    def decode(self, run: Run, fields: Any, ask: Ask) -> bytes:
        raise NotImplementedError


def is_integer(value: object, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


def plane(data: bytes, n: int) -> Any:
    bits = bitarray(endian="little")
    bits.frombytes(data)
    need(not bits[n:].any(), "stream_invalid", "bits behind the last element of a plane")
    return bits[:n]


def add_planes(values: list[int], streams: dict[str, bytes], top: int, last: int) -> int:
    """Or planes mantissa.top, ..., mantissa.last into `values`; give how many were there."""
    for k in range(top, last - 1, -1):
        if f"mantissa.{k}" not in streams:
            return top - k
        for i in plane(streams[f"mantissa.{k}"], len(values)).search(bitarray("1")):
            values[i] |= 1 << k
    return top - last + 1


def pack(dtype: str, patterns: list[int]) -> bytes:
    letter = {2: "H", 4: "I", 8: "Q"}[ITEMSIZE[dtype]]
    return struct.pack(f"<{len(patterns)}{letter}", *patterns)


# ---- codecs/raw.md --------------------------------------------------------------------------
class Raw(Codec):
    def block(self, run: Run, n: int, mode: int) -> list[Stream]:
        return [Stream("bytes", n * run.itemsize)]

    def parse(self, run: Run, block: int, streams: dict[str, bytes]) -> Any:
        sound = run.dtype != "bool" or max(streams["bytes"]) <= 1
        need(sound, "stream_invalid", "a bool that is not 0 or 1")
        return streams["bytes"]

    def decode(self, run: Run, fields: Any, ask: Ask) -> bytes:
        return bytes(fields)


# ---- codecs/float.md ------------------------------------------------------------------------
WIDTHS = {"float16": (16, 5), "bfloat16": (16, 8), "float32": (32, 8), "float64": (64, 11)}


class Float(Codec):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config, "keep")
        self.keep: int | None = config.get("keep")
        sound = "keep" not in config or is_integer(self.keep, 1, 64)
        need(sound, "codec_config", "keep")

    def check(self, run: Run) -> None:
        need(run.dtype in WIDTHS, "codec_config", f"float of {run.dtype}")
        need((self.keep or 1) <= WIDTHS[run.dtype][0], "codec_config", "keep above the width")

    def sizes(self, run: Run) -> tuple[int, int, int]:
        """X, Y and Y' of the page."""
        width, x = WIDTHS[run.dtype]
        return x, width - 1 - x, max(0, (self.keep or width) - 1 - x)

    def block(self, run: Run, n: int, mode: int) -> list[Stream]:
        _, y, kept = self.sizes(run)
        names = ["exponent.1", "exponent.0"] if run.dtype == "float64" else ["exponent"]
        planes = range(y - 1, y - kept - 1, -1)
        return [
            Stream("sign", -(-n // 8)),
            *(Stream(name, n) for name in names),
            *(Stream(f"mantissa.{k}", -(-n // 8), y - k) for k in planes),
        ]

    def parse(self, run: Run, block: int, streams: dict[str, bytes]) -> Any:
        n = run.extent(block)[1]
        x, y, kept = self.sizes(run)
        if run.dtype == "float64":
            high, low = streams["exponent.1"], streams["exponent.0"]
            exponents = [h << 8 | e for h, e in zip(high, low, strict=True)]
        else:
            exponents = list(streams["exponent"])
        need(max(exponents) < 1 << x, "stream_invalid", "bits above the exponent field")
        mantissas = [0] * n
        held = add_planes(mantissas, streams, y - 1, y - kept)
        return plane(streams["sign"], n), exponents, mantissas, held

    def decode(self, run: Run, fields: Any, ask: Ask) -> bytes:
        x, y, kept = self.sizes(run)
        signs, exponents, mantissas, held = fields
        k = held if ask.planes is None else min(held, ask.planes)
        patterns = []
        for s, e, m in zip(signs, exponents, mantissas, strict=True):
            top = m >> (y - k) << (y - k)
            if k < kept and e == (1 << x) - 1:
                if m and not top:
                    top = 1 << (y - 1)  # a NaN stays a NaN
            elif k < kept and ask.mid and e:
                top |= 1 << (y - k - 1)
            patterns.append(s << (x + y) | e << y | top)
        return pack(run.dtype, patterns)


# ---- codecs/bfp.md --------------------------------------------------------------------------
ZEROS = -32768
E_RANGE = {
    "float16": (-23, 16),
    "bfloat16": (-132, 128),
    "float32": (-148, 128),
    "float64": (-1073, 1024),
}


def nearest(dtype: str, number: int, exponent: int) -> int:
    """The pattern of number * 2^exponent, rounded once to nearest even, largest finite at most."""
    if number == 0:
        return 0
    width, x = WIDTHS[dtype]
    y = width - 1 - x
    least = 2 - (1 << (x - 1)) - y  # exponent of the smallest subnormal
    unit = max(least, number.bit_length() + exponent - y - 1)
    if unit <= exponent:
        m = number << (exponent - unit)
    else:
        m, rest = divmod(number, 1 << (unit - exponent))
        half = 1 << (unit - exponent - 1)
        m += rest > half or (rest == half and m & 1)
    # A carry out of the mantissa runs into the exponent field, which is what it means.
    pattern = m + (unit - least << y)
    return min(pattern, ((1 << x) - 1 << y) - 1)


def magnitude(pattern: int) -> tuple[int, int]:
    """(number, exponent) of a positive finite float32 pattern."""
    e, m = pattern >> 23, pattern & 0x7FFFFF
    return (m | 1 << 23, e - 150) if e else (m, -149)


class Fields(NamedTuple):
    signs: list[int]
    integers: list[int]  # M
    exponents: list[int | None]  # E of each element's scope; None in gaps
    held: int  # planes


class Bfp(Codec):
    modes = (0, 1)

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config, "bits", "rounding", "scope", "step", "signs", "reconstruct")
        self.bits: int = config.get("bits", 0)
        self.compact = config.get("signs", "full") == "compact"
        self.mid = config.get("reconstruct", "low") == "mid"
        sound = (
            is_integer(self.bits, 1, 24)
            and config.get("rounding", "nearest") in ("nearest", "truncate")
            and config.get("signs", "full") in ("full", "compact")
            and config.get("reconstruct", "low") in ("low", "mid")
            and (self.bits <= 23 or not self.mid)
        )
        need(sound, "codec_config", "bits, rounding, signs or reconstruct")
        self.scope, self.number = self.read_scope(config.get("scope", "tensor"))
        self.step = self.read_step(config["step"]) if "step" in config else None
        sound = self.step is None or self.scope == "tensor"
        need(sound, "codec_config", "a step and scopes")

    @staticmethod
    def read_scope(scope: object) -> tuple[str, int]:
        need(isinstance(scope, str), "codec_config", "scope")
        if scope == "tensor":
            return "tensor", 0
        match = re.fullmatch("(axis|block):(0|-?[1-9][0-9]{0,5})", str(scope))
        kind, number = (match[1], int(match[2])) if match else ("", 0)
        powers = [1 << i for i in range(19)]
        sound = -64 <= number <= 63 if kind == "axis" else number in powers
        need(kind and sound, "codec_config", f"scope {scope!r}")
        return kind, number

    @staticmethod
    def read_step(step: Any) -> tuple[int, int]:
        sound = is_number(step) and 2.0**-126 <= step <= float.fromhex("0x1.fffffep127")
        sound = sound and struct.unpack("<f", struct.pack("<f", step))[0] == step
        need(sound, "codec_config", "step")
        number, denominator = float(step).as_integer_ratio()
        return number, 1 - denominator.bit_length()

    def check(self, run: Run) -> None:
        need(run.dtype in WIDTHS, "codec_config", f"bfp of {run.dtype}")
        if self.scope == "axis":
            sound = all(-len(shape) <= self.number < len(shape) for shape in run.shapes)
            need(sound, "codec_config", f"axis {self.number} of a member")
        one_block = len(run.shapes) == 1 or run.count <= 2**18
        need(self.scope != "block" or one_block, "codec_config", "block scopes of a long run")

    def scopes(self, shape: list[int]) -> int:
        """How many scopes a member has."""
        if math.prod(shape) == 0:
            return 0
        if self.scope == "tensor":
            return 1
        return shape[self.number] if self.scope == "axis" else -(-math.prod(shape) // self.number)

    def head(self, run: Run) -> list[Stream]:
        count = sum(map(self.scopes, run.shapes))
        here = self.step is None and self.scope != "block" and count
        return [Stream("exponent", 2 * count)] if here else []

    def block(self, run: Run, n: int, mode: int) -> list[Stream]:
        bits, length = self.bits, -(-n // 8)
        streams = []
        if self.scope == "block":  # one member: cut at multiples of k; several: one block
            one = len(run.shapes) == 1
            count = -(-n // self.number) if one else sum(map(self.scopes, run.shapes))
            streams.append(Stream("exponent", 2 * count))
        streams.append(Stream("sign", length, variable=self.compact))
        if mode == 1:
            streams.append(Stream("symbols", n))
        top = bits - 1 if mode == 0 else bits - 9
        return streams + [Stream(f"mantissa.{k}", length, bits - k) for k in range(top, -1, -1)]

    def exponents(self, run: Run, block: int, stream: bytes) -> list[int | None]:
        """E of each element of a block; 0 with a step, where none is used; None in gaps."""
        start, n = run.extent(block)
        low, high = E_RANGE[run.dtype]
        values = [e for (e,) in struct.iter_unpack("<h", stream)]
        sound = all(e == ZEROS or low <= e <= high for e in values)
        need(sound, "stream_invalid", f"an exponent outside of {run.dtype}")
        result: list[int | None] = [None] * n
        firsts = list(itertools.accumulate(map(self.scopes, run.shapes), initial=0))
        skipped = start // self.number if self.scope == "block" else 0
        for i, begin, end in run.members(start, n):
            inner = math.prod(run.shapes[i][self.number :][1:]) if self.scope == "axis" else 1
            for p in range(begin, end):
                at = p - run.starts[i]
                if self.scope == "axis":
                    scope = at // inner % run.shapes[i][self.number]
                else:
                    scope = at // self.number - skipped if self.scope == "block" else 0
                result[p - start] = values[firsts[i] + scope] if values else 0
        return result

    def parse(self, run: Run, block: int, streams: dict[str, bytes]) -> Fields:
        bits, n = self.bits, run.extent(block)[1]
        integers, held = [0] * n, 0
        if "symbols" in streams:
            held = min(8, bits)
            sound = max(streams["symbols"]) < 1 << held
            need(sound, "stream_invalid", "a symbol of too many bits")
            integers = [symbol << (bits - held) for symbol in streams["symbols"]]
        held += add_planes(integers, streams, bits - held - 1, 0)
        if self.compact:
            need(held == bits, "file_truncated", "compact signs need all planes")
            placed = [i for i, m in enumerate(integers) if m]
            sound = len(streams["sign"]) == -(-len(placed) // 8)
            need(sound, "stream_invalid", "length of the compact signs")
            signs = [0] * n
            for i, s in zip(placed, plane(streams["sign"], len(placed)), strict=True):
                signs[i] = s
        else:
            signs = plane(streams["sign"], n).tolist()
        exponents = self.exponents(run, block, streams.get("exponent", b""))
        return Fields(signs, integers, exponents, held)

    def value(self, dtype: str, twice: int, unit: int) -> int:
        """The pattern of I in units of 2^unit or of the step; `twice` is 2 I, an integer."""
        if self.step is None:
            return nearest(dtype, twice, unit - 1)
        number, exponent = self.step
        single = nearest("float32", twice * number, exponent - 1)
        return nearest(dtype, *magnitude(single))

    def halved(self, ask: Ask, k: int) -> bool:
        """Whether half a unit is added where M' is not zero: `mid`."""
        mid = self.mid or k < self.bits if ask.mid is None else ask.mid
        return mid and k <= 23 and ask.below is None

    def decode(self, run: Run, fields: Fields, ask: Ask) -> bytes:
        bits, width, n = self.bits, WIDTHS[run.dtype][0], len(fields.integers)
        k = fields.held if ask.planes is None else min(fields.held, ask.planes)
        half = self.halved(ask, k)
        below, t = [0] * n, 0
        if ask.below is not None:
            integers, their_bits = ask.below
            t = min(their_bits, 24 - bits)
            below = [m >> (their_bits - t) for m in integers]
        known: dict[tuple[int, int], int] = {}
        patterns = []
        for i, (m, e) in enumerate(zip(fields.integers, fields.exponents, strict=True)):
            if e is None:  # a gap is zero bits, whatever it holds
                patterns.append(0)
                continue
            top = m >> (bits - k)
            twice = (2 * top + (half and top > 0)) << (bits - k)
            twice = 0 if e == ZEROS else (twice << t) + 2 * below[i]
            if (twice, e) not in known:
                known[twice, e] = self.value(run.dtype, twice, e - bits - t)
            patterns.append(fields.signs[i] << (width - 1) | known[twice, e])
        return pack(run.dtype, patterns)


CODECS: dict[str, type[Codec]] = {"raw": Raw, "float": Float, "bfp": Bfp}


# ---- container.md 8, and the whole ----------------------------------------------------------
@dataclass
class File:
    """An open file: what rules 1 to 13 of section 6 have passed."""

    data: bytes
    runs: list[Run]
    tasks: list[dict[str, Any]]
    pairs: list[list[int]]
    spans: list[tuple[int, int]]
    levels: float  # the last level that is whole


def open_file(data: bytes, partial: bool, budget: int | None) -> File:
    h = read_header(data, partial)
    m = read_manifest(data, h)
    check_counts(m)
    codecs = [read_codec(config) for config in m["codecs"]]
    runs = [read_run(item, codecs, m["codecs"]) for item in m["runs"]]
    check_tasks(m["tasks"], runs)
    pairs = m.get("pairs", [])
    check_pairs(pairs, runs)
    check_budget(m["tasks"], runs, budget or max(2**30, 1000 * h.file_length))
    spans = read_rows(data, h, runs)
    return File(data, runs, m["tasks"], pairs, spans, last_level(data, runs))


def last_level(data: bytes, runs: list[Run]) -> float:
    """The last level whose chunks, and those before it, are whole; infinity for a whole file."""
    last = math.inf
    for run in runs:
        for row, held in itertools.chain(run.head, *run.blocks):
            if row.offset + row.stored > len(data):
                last = min(last, min(s.level for s in held) - 1)
    need(last >= 0, "file_truncated", "level 0 is not whole")
    return last


def read_streams(f: File, placed: list[Placed]) -> dict[str, bytes]:
    streams: dict[str, bytes] = {}
    for row, held in placed:
        if min(s.level for s in held) <= f.levels:
            streams |= read_chunk(f.data, row, held)
    levels = {s.name: s.level for _, held in placed for s in held}
    return {name: stream for name, stream in streams.items() if levels[name] <= f.levels}


def read_block(f: File, run: Run, head: dict[str, bytes], block: int) -> Any:
    return run.codec.parse(run, block, head | read_streams(f, run.blocks[block]))


def next_of_pair(f: File, index: int) -> Run | None:
    """The run whose planes are the low bits of run `index` in a decode with dither."""
    for pair in f.pairs:
        if index in pair[:-1]:
            runs = [f.runs[index], f.runs[pair[pair.index(index) + 1]]]
            codecs = [run.codec for run in runs if isinstance(run.codec, Bfp)]
            if len(codecs) == 2 and not any(c.compact or c.step for c in codecs):
                return runs[1]
    return None


def decode_run(f: File, index: int, ask: Ask, dither: bool) -> bytes:
    """Check a run against its digest, where all of it is there, and decode it as asked."""
    run = f.runs[index]
    head = read_streams(f, run.head)
    under = next_of_pair(f, index) if dither and f.levels == math.inf else None
    under_head = read_streams(f, under.head) if under else {}
    last = max((s.level for b in run.blocks for _, held in b for s in held), default=0)
    digest, result = blake3(), []
    for block in range(len(run.blocks)):
        fields = read_block(f, run, head, block)
        canonical = run.codec.decode(run, fields, Ask())
        digest.update(canonical)
        start, n = run.extent(block)
        at = start
        for _, begin, end in [*run.members(start, n), (0, start + n, 0)]:
            gap = canonical[(at - start) * run.itemsize : (begin - start) * run.itemsize]
            need(not any(gap), "digest_mismatch", "a gap that is not zero")
            at = end
        if under:
            assert isinstance(under.codec, Bfp)
            fields_below = read_block(f, under, under_head, block)
            ask = Ask(below=(fields_below.integers, under.codec.bits))
        derived = under or ask.planes is not None or ask.mid is not None
        result.append(run.codec.decode(run, fields, ask) if derived else canonical)
    whole = last <= f.levels
    need(not whole or digest.hexdigest() == run.digest, "digest_mismatch", f"run {index}")
    return b"".join(result)


def decode_members(f: File, ask: Ask, dither: bool) -> dict[tuple[int, int], bytes]:
    """Check all runs, and give the bytes of the members of those that tensors name."""
    used = {run for task in f.tasks for _, run, _ in task["tensors"]}
    members = {}
    for i, run in enumerate(f.runs):
        decoded = decode_run(f, i, ask, dither)
        for m, (start, shape) in enumerate(zip(run.starts, run.shapes, strict=True)):
            if i in used:
                end = start + math.prod(shape)
                members[i, m] = decoded[start * run.itemsize : end * run.itemsize]
    return members


def check_padding(f: File) -> None:
    for (_, end), (begin, _) in itertools.pairwise([*f.spans, (len(f.data), 0)]):
        need(not f.data[end:begin].strip(b"\0"), "padding_nonzero", f"padding behind {end}")


Tensors = dict[str, tuple[str, tuple[int, ...], bytes]]


def decode(
    data: bytes,
    partial: bool = False,
    *,
    planes: int | None = None,
    mid: bool | None = None,
    dither: bool = False,
    budget: int | None = None,
) -> dict[str, Tensors]:
    """Verify a file and decode all its tasks.

    Parameters
    ----------
    data : bytes
        The whole file, or with `partial` the begin of a progressive one.
    partial : bool
        Take a progressive file that is cut off (container.md 8).
    planes : int, optional
        A derived decode with so many mantissa planes, or all that a run has where it has fewer.
    mid : bool, optional
        In a derived decode, half a unit more (`mid`) or not (`low`); None: what the page names.
    dither : bool
        With the planes of the next run of a pair as low bits (codecs/bfp.md, "Dither").
    budget : int, optional
        The decoded budget (container.md 7).

    Returns
    -------
    dict
        task name -> tensor name -> (dtype, shape, bytes: little-endian, C order).

    Raises
    ------
    Refused
        If the file breaks any rule.
    """
    if dither and planes is not None:
        raise ValueError("dither takes all planes")
    f = open_file(data, partial, budget)
    members = decode_members(f, Ask(planes, mid), dither)
    check_padding(f)
    return {
        task["name"]: {
            name: (f.runs[r].dtype, tuple(f.runs[r].shapes[m]), members[r, m])
            for name, r, m in task["tensors"]
        }
        for task in f.tasks
    }


def main(path: str) -> int:
    try:
        tasks = decode(Path(path).read_bytes())
    except Refused as refusal:
        print(refusal.code)
        return 3
    for task, tensors in tasks.items():
        for name, (dtype, shape, data) in tensors.items():
            print(task, name, dtype, list(shape), hashlib.sha256(data).hexdigest(), sep="\t")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python reference_decoder.py FILE")
    sys.exit(main(sys.argv[1]))
