"""codecs/bfp.md."""

from __future__ import annotations

import itertools
import math
import re
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from reference.basics import is_integer, is_number, need
from reference.codecs.base import Ask, Codec, add_planes, plane
from reference.codecs.numbers import WIDTHS, magnitude, nearest, pack
from reference.runs import Run, Stream

if TYPE_CHECKING:
    from reference.runs import Part


ZEROS = -32768
E_RANGE = {
    "float16": (-23, 16),
    "bfloat16": (-132, 128),
    "float32": (-148, 128),
    "float64": (-1073, 1024),
}


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

    def exponents(self, part: Part) -> list[int | None]:
        """E of each element; 0 with a step, where none is used; None in gaps."""
        run, stream = part.run, part.streams.get("exponent", b"")
        start, n = run.extent(part.block)
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
        return [result[p - start] for p in part.places]

    def parse(self, part: Part) -> Fields:
        bits, n, streams = self.bits, part.n, part.streams
        integers, held = [0] * n, 0
        if "symbols" in streams:
            held = min(8, bits)
            sound = max(streams["symbols"], default=0) < 1 << held
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
        return Fields(signs, integers, self.exponents(part), held)

    def dithers(self, run: Run, below: Codec) -> bool:
        both = [codec for codec in (self, below) if isinstance(codec, Bfp)]
        return len(both) == 2 and not any(c.compact or c.step for c in both)

    def noise(self, run: Run, fields: Fields) -> tuple[list[int], int]:
        return fields.integers, self.bits

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
