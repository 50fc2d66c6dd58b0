"""Valid vectors of the container: manifests, rows, coders, layouts, and files that are cut off."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import zstandard

from vectors.bfp import bfp, craft
from vectors.cases import Valid, cut_off, valid
from vectors.family import Family
from vectors.models import Run, float_, raw
from vectors.valid_bfp import weights
from vectors.valid_plain import edges
from vectors.writer import INTERLEAVED, PROGRESSIVE, hand_frame

if TYPE_CHECKING:
    from collections.abc import Iterator


def small_family(layout: int = 0, *, front_last: bool = False, share: bool = True) -> Family:
    """Two tasks that share a run and have a pair, one of them with a head of its own."""
    family = Family(layout=layout, front_last=front_last, share=share)
    shared = family.add(float_("float32", [([11], weights("float32", 11, "shared"))]))
    for name, bits in (("A", 12), ("B", 11)):
        kernel = bfp("float32", [([6, 8], weights("float32", 48, name))], bits=bits)
        tensors = {"conv/kernel": family.add(kernel), "conv/bias": shared}
        family.task(name, tensors, format="safetensors", metadata={"task": name})
    head = float_("bfloat16", [([8, 3], weights("bfloat16", 24, "head"))])
    family.tasks[1]["tensors"].append(["head/kernel", family.add(head), 0])
    family.pairs = [[1, 2]]
    return family


def manifest_cases() -> Iterator[Valid]:
    """Put all that it may hold into a manifest."""
    yield valid("container-empty", "no codecs, no runs, no tasks, no rows", Family())
    family = Family()
    family.extra = {"writer": {"name": "vectors", "version": "1"}, "notes": nested(31)}
    family.task("A", {}, metadata={}, future=[1.5, None, True, {"[[[[": "]]\\"}], skipped=1e300)
    text = "a task of no tensors; unknown keys are ignored; brackets in strings are no depth"
    yield valid("container-unknown-keys", text, family)
    family = Family()
    blob = family.add(raw("uint8", 1, [([7], b'{"a":1}')]))
    metadata = {"Übung": "größer", "empty": "", "quote": '"\\\n\x7f\U0001f600'}
    tensors = {"w": raw("int8", 1, [([2], b"\x01\xff")])}
    family.task("A", tensors, metadata=metadata, format="keras", skeleton=blob)
    yield valid("container-metadata", "metadata, a format and a skeleton", family)
    family = Family()
    index = family.add(raw("int16", 2, [([2], b"\x01\x00\x02\x00"), ([], b"\xff\x7f")]))
    family.add(raw("uint8", 1, [([5], b"aside")]))
    family.task("A", {"w": (index, 0), "": (index, 1), "again/w": (index, 0)})
    family.task("B" * 4096, {"ü" * 2048: (index, 1), "w": (index, 0)})
    text = "aliases in and between tasks, a hidden run, an empty name, names of 4,096 bytes"
    yield valid("container-aliases", text, family)
    family = Family()
    index = family.add(raw("int16", 2, [([2], b"\x01\x00\x02\x00"), ([], b"\xff\x7f")]))
    many: dict[str, Any] = {name: (index, i % 2) for i, name in enumerate("abcdef")}
    family.task("A", many, ties=[[4, 0], [3, 1], [2, 0]], meta={"seed": "7", "": "größer"})
    family.task("B", many, ties=[], meta={})
    text = "tensors that were one array, others that are equal, and words kept with a task"
    yield valid("container-ties", text, family)
    family = Family()
    index = family.add(
        raw("uint8", 1, [([3], b"abc"), ([0], b""), ([9], b"123456789"), ([2, 0], b"")])
    )
    family.task("A", {f"w{i}": (index, i) for i in range(4)})
    text = (
        "members start at multiples of 8; the run ends with the last one, here with a gap before it"
    )
    yield valid("container-gaps", text, family)
    draft = small_family().draft()
    draft.header["minor"] = 7
    yield valid(
        "container-minor-7", "a reader takes any minor version", small_family(), draft=draft
    )
    draft = small_family().draft()
    draft.text = b" \n" + draft.json().replace(b",", b" ,\r\n\t").replace(b"A", b"\\u0041")
    text = "white space and escapes in the JSON"
    yield valid("container-json-spaces", text, small_family(), draft=draft)


def nested(depth: int) -> list[object]:
    """Nest lists in lists."""
    inner: list[object] = []
    for _ in range(depth - 1):
        inner = [inner]
    return inner


def row_cases() -> Iterator[Valid]:
    """Where chunks are and how they are coded."""
    family = Family()
    patterns = weights("float32", 64, "coders")
    for coding in ("raw", "zstd", "small"):
        family.coding = coding
        family.task(coding, {"w": float_("float32", [([64], patterns)])})
    chunks = []
    for i, coding in enumerate(("raw", "zstd", "small")):
        family.coding = coding
        chunks += [c for c in family.chunks() if c.place[0] == i]
    draft = family.draft()
    draft.chunks, draft.order = chunks, None
    text = "the same run as one raw chunk, as zstd chunks, and mixed with fill"
    yield valid("container-coders", text, family, draft=draft)
    yield frames()
    text = "streams that are multiples of 4,096 bytes: staggers stand between those of one chunk"
    family = Family(coding="raw").task("A", {"w": long_run(32768)})
    yield valid("container-stagger", text, family)
    family = Family(coding="raw").task("A", {"w": long_planes()})
    yield valid("container-stagger-planes", "seven planes of 4,096 bytes, one stagger", family)
    family = Family(coding="raw", share=False).task("A", {"w": long_planes()})
    yield valid("container-stagger-none", "the same planes in chunks of their own", family)
    family = Family(coding="small").task("A", {"w": long_run(32768), "v": long_run(32760)})
    text = "a shared fill chunk, and a chunk whose last stream takes no stagger"
    yield valid("container-stagger-small", text, family)
    draft = small_family().draft()
    draft.order = list(reversed(range(len(draft.chunks))))
    draft.spaces = {1: 8, 3: 4096, 4: 64}
    yield valid("container-chunks-anywhere", "the rows are the truth", small_family(), draft=draft)
    draft = small_family().draft()
    draft.resize = 24
    draft.header["file_length"] = len(small_family().draft().build()) + 24
    yield valid(
        "container-padded-end", "zero bytes behind the last chunk", small_family(), draft=draft
    )
    for front_last in (False, True):
        name = "container-front-last" if front_last else "container-front-first"
        family = small_family(front_last=front_last)
        yield valid(name, "the front's place is the header's word", family)


def frames() -> Valid:
    """Store zstd frames of all forms that section 5 allows."""
    content = b"abcd" * 16
    compressor = zstandard.ZstdCompressor(level=1).compressobj(size=64)
    parts = compressor.compress(content[:40]) + compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    two_blocks = parts + compressor.compress(content[40:]) + compressor.flush()
    run_of_bytes = bytes.fromhex("28B52FFD 20 40 030200 61")  # one block: 64 times 61
    made = [hand_frame(content), hand_frame(content, window=13 << 3), two_blocks, run_of_bytes]
    family = Family(coding="zstd")
    for i in range(len(made)):
        family.add(raw("uint8", 1, [([64], b"a" * 64 if i == 3 else content)]))
    family.task("A", {f"w{i}": i for i in range(len(made))})
    draft = family.draft()
    for chunk, frame in zip(draft.chunks, made, strict=True):
        chunk.stored = frame
    text = "a stored block, a window of 8 MiB, two blocks, a block of one byte repeated"
    return valid("container-frames", text, family, draft=draft)


def long_run(count: int) -> Run:
    """Make a float16 run whose planes repeat; some are all zeros."""
    generator = random.Random(count)
    unit = [generator.getrandbits(16) & 0xFF0F for _ in range(512)]
    return float_("float16", [([count], (unit * 65)[:count])])


def long_planes() -> Run:
    """Make a bfp run of a sign plane and six others of 4,096 bytes each."""
    generator = random.Random("planes")
    unit = [(generator.getrandbits(1), generator.getrandbits(6)) for _ in range(64)]
    return craft("float32", unit * 512, [0], bits=6)


def layout_cases() -> Iterator[Valid]:
    """Write the other layouts, whole and cut off."""
    asks = ({"planes": 4}, {"planes": 1, "mid": False}, {"dither": True})
    family = small_family(INTERLEAVED)
    yield valid("container-interleaved", "a pair, and runs that are in none", family, *asks)
    family = small_family(INTERLEAVED, share=False)
    yield valid("container-interleaved-alone", "a chunk for each stream", family, *asks)
    family = small_family(PROGRESSIVE)
    yield valid("container-progressive", "level after level", family, *asks)
    ends = family.draft().level_ends()
    for level in (0, 1, 5, 12):
        name = f"container-partial-{level}"
        yield cut_off(name, f"cut off where level {level} ends", family, ends[level])
    text = "cut off in level 4: the levels to 3 are whole"
    yield cut_off("container-partial-inside", text, family, (ends[3] + ends[4]) // 2 + 1)
    patterns = edges("float16")
    run = float_("float16", [([len(patterns)], patterns)])
    family = Family(layout=PROGRESSIVE).task("A", {"w": run})
    text = "a NaN whose planes are missing is an infinity"
    yield cut_off("container-partial-nan", text, family, family.draft().level_ends()[2])
    family = small_family(PROGRESSIVE)
    case = valid("container-partial-whole", "a whole file, opened as one that may be cut", family)
    case.partial = True
    yield case


def cases() -> Iterator[Valid]:
    """All cases of this module."""
    yield from manifest_cases()
    yield from row_cases()
    yield from layout_cases()
