"""codecs/int8.md."""

from __future__ import annotations

import itertools
import math
import re
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from reference.basics import need
from reference.codecs.base import Ask, Codec, plane
from reference.codecs.numbers import WIDTHS, magnitude, nearest, pack
from reference.runs import Run, Stream

if TYPE_CHECKING:
    from reference.runs import Part

PLANES = ["sign", *(f"magnitude.{k}" for k in range(6, -1, -1))]  # bits 7 to 0 of a code


class Fields(NamedTuple):
    codes: list[int]
    scales: list[int | None]  # the pattern of each element's s; None in gaps
    held: int  # magnitude planes


class Int8(Codec):
    modes = (0, 1)

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config, "scope")
        scope = config.get("scope", "tensor")
        match = isinstance(scope, str) and re.fullmatch("tensor|axis:(0|-?[1-9][0-9]?)", scope)
        need(match, "codec_config", f"scope {scope!r}")
        self.axis = None if scope == "tensor" else int(scope.removeprefix("axis:"))
        need(-64 <= (self.axis or 0) <= 63, "codec_config", f"scope {scope!r}")

    def check(self, run: Run) -> None:
        need(run.dtype in WIDTHS, "codec_config", f"int8 of {run.dtype}")
        if self.axis is not None:
            sound = all(-len(shape) <= self.axis < len(shape) for shape in run.shapes)
            need(sound, "codec_config", f"axis {self.axis} of a member")

    def scopes(self, shape: list[int]) -> int:
        """How many scopes a member has."""
        if math.prod(shape) == 0:
            return 0
        return 1 if self.axis is None else shape[self.axis]

    def head(self, run: Run) -> list[Stream]:
        count = sum(map(self.scopes, run.shapes))
        return [Stream("scale", 4 * count)] if count else []

    def block(self, run: Run, n: int, mode: int) -> list[Stream]:
        if mode == 1:
            return [Stream("codes", n)]
        return [Stream(name, -(-n // 8), level) for level, name in enumerate(PLANES)]

    def scales(self, part: Part) -> list[int | None]:
        """The pattern of the scale of each element."""
        run = part.run
        values = [s for (s,) in struct.iter_unpack("<I", part.streams.get("scale", b""))]
        sound = all(0x00800000 <= s <= 0x7F7FFFFF for s in values)
        need(sound, "stream_invalid", "a scale that is no positive normal number")
        start, n = run.extent(part.block)
        result: list[int | None] = [None] * n
        firsts = list(itertools.accumulate(map(self.scopes, run.shapes), initial=0))
        for i, begin, end in run.members(start, n):
            shape = run.shapes[i]
            inner = 1 if self.axis is None else math.prod(shape[self.axis :][1:])
            for p in range(begin, end):
                scope = (p - run.starts[i]) // inner % self.scopes(shape)
                result[p - start] = values[firsts[i] + scope]
        return [result[p - start] for p in part.places]

    def parse(self, part: Part) -> Fields:
        held = 7
        if "codes" in part.streams:
            codes = list(part.streams["codes"])
        else:
            codes = [0] * part.n
            there = [name for name in PLANES if name in part.streams]
            held = len(there) - 1
            for bit, name in zip(range(7, -1, -1), there, strict=False):
                for i, b in enumerate(plane(part.streams[name], part.n)):
                    codes[i] |= b << bit
        need(held < 7 or 0x80 not in codes, "stream_invalid", "a code of a sign alone")
        return Fields(codes, self.scales(part), held)

    def decode(self, run: Run, fields: Fields, ask: Ask) -> bytes:
        k = fields.held if ask.planes is None else min(fields.held, ask.planes)
        d, width = 7 - k, WIDTHS[run.dtype][0]
        half = 1 << (d - 1) if d and ask.mid is not False else 0
        patterns = []
        for code, scale in zip(fields.codes, fields.scales, strict=True):
            if scale is None:  # a gap is zero bits, whatever it holds
                patterns.append(0)
                continue
            top = (code & 0x7F) >> d << d
            number, exponent = magnitude(scale)
            single = nearest("float32", (top + half if top else 0) * number, exponent)
            pattern = nearest(run.dtype, *magnitude(single))
            patterns.append(code >> 7 << (width - 1) | pattern)
        return pack(run.dtype, patterns)
