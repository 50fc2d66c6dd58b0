"""codecs/delta.md."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reference.basics import need
from reference.codecs.base import Ask, Codec, plane
from reference.codecs.bfp import Bfp
from reference.codecs.numbers import WIDTHS, magnitude, nearest, pack, unpack
from reference.runs import Run, Stream

if TYPE_CHECKING:
    from reference.runs import Part


def flip(pattern: int, width: int) -> int:
    """o, and its inverse, as patterns of `width` bits."""
    top = 1 << (width - 1)
    return pattern if pattern < top else ~(pattern - top) & (2 * top - 1)


UNIT = -149  # every number of float32, float16 and bfloat16 is a whole number of 2^-149


def signed(dtype: str, pattern: int) -> int:
    """A finite number in units of 2^UNIT."""
    top = 1 << (WIDTHS[dtype][0] - 1)
    number, exponent = magnitude(pattern % top, dtype)
    units = number << (exponent - UNIT)
    return -units if pattern >= top else units


def single(run: Run) -> Run:
    """The run whose values are the residual r'."""
    other = copy.copy(run)
    other.dtype, other.itemsize = "float32", 4
    return other


class Lossless(Codec):
    modes = (0, 1, 2, 3, 4)

    def roles(self, dtype: str) -> list[str]:
        return [dtype]

    def check(self, run: Run) -> None:
        need(run.dtype in WIDTHS, "codec_config", f"delta of {run.dtype}")

    def block(self, run: Run, n: int, mode: int) -> list[Stream]:
        width = WIDTHS[run.dtype][0]
        packed = [*(f"low.{k}" for k in range(width - 2, -1, -1)), "sign"]
        return [
            *(Stream(f"length.{i}", n, variable=True) for i in range(1 << mode)),
            *(Stream(name, -(-n // 8), variable=True, counted=True) for name in packed),
        ]

    def lengths(self, part: Part) -> list[bytes]:
        """L of the elements, class by class."""
        streams = [part.streams[f"length.{i}"] for i in range(1 << part.mode)]
        sound = sum(map(len, streams)) == part.n
        sound = sound and max(b"".join(streams)) <= WIDTHS[part.run.dtype][0]
        need(sound, "stream_invalid", "lengths that are not one an element, or too large")
        return streams

    def counted(self, part: Part, name: str) -> int:
        least = 1 if name == "sign" else int(name.removeprefix("low.")) + 2
        return -(-sum(length >= least for length in b"".join(self.lengths(part))) // 8)

    def parse(self, part: Part) -> Any:
        width, x = WIDTHS[part.run.dtype]
        base = unpack(part.run.dtype, part.bases[0])
        fields = [a >> (width - 1 - x) & ((1 << x) - 1) for a in base]
        most = max(fields)
        classes = [min((1 << part.mode) - 1, most - field) for field in fields]
        streams = self.lengths(part)
        for i, stream in enumerate(streams):
            sound = len(stream) == classes.count(i)
            need(sound, "stream_invalid", f"lengths of class {i}")
        each = list(map(iter, streams))
        lengths = [next(each[i]) for i in classes]
        numbers = [1 << (length - 1) if length else 0 for length in lengths]
        for k in range(width - 2, -1, -1):
            places = [i for i, length in enumerate(lengths) if length > k + 1]
            bits = plane(part.streams[f"low.{k}"], len(places))
            for i, bit in zip(places, bits, strict=True):
                numbers[i] |= bit << k
        places = [i for i, length in enumerate(lengths) if length > 0]
        for i, bit in zip(places, plane(part.streams["sign"], len(places)), strict=True):
            numbers[i] = -numbers[i] if bit else numbers[i]
        return base, numbers

    def decode(self, run: Run, fields: Any, ask: Ask) -> bytes:
        width = WIDTHS[run.dtype][0]
        pairs = zip(*fields, strict=True)
        return pack(run.dtype, [flip((flip(a, width) + d) % 2**width, width) for a, d in pairs])


class Residual(Codec):
    modes = Bfp.modes

    def __init__(self, config: dict[str, Any], values: dict[str, Any]) -> None:
        super().__init__(config, "values")
        self.values = Bfp(values)

    def roles(self, dtype: str) -> list[str]:
        return [dtype]

    def check(self, run: Run) -> None:
        sound = run.dtype in ("float16", "bfloat16", "float32")
        need(sound, "codec_config", f"residual of {run.dtype}")
        self.values.check(single(run))

    def head(self, run: Run) -> list[Stream]:
        return self.values.head(single(run))

    def block(self, run: Run, n: int, mode: int) -> list[Stream]:
        return self.values.block(single(run), n, mode)

    def parse(self, part: Part) -> Any:
        run = part.run
        width, x = WIDTHS[run.dtype]
        base = unpack(run.dtype, part.bases[0])
        infinite = (1 << x) - 1 << (width - 1 - x)
        sound = all(a & infinite != infinite for a in base)
        need(sound, "stream_invalid", "a base that is not finite")
        return base, self.values.parse(replace(part, run=single(run)))

    def decode(self, run: Run, fields: Any, ask: Ask) -> bytes:
        base, inner = fields
        width = WIDTHS[run.dtype][0]
        residual = unpack("float32", self.values.decode(single(run), inner, ask))
        patterns = []
        for a, r in zip(base, residual, strict=True):
            one, two = signed(run.dtype, a), signed("float32", r)
            total = one + two
            negative = total < 0 or (total == 0 and a >> (width - 1) == r >> 31 == 1)
            rounded = nearest("float32", abs(total), UNIT)
            rounded = nearest(run.dtype, *magnitude(rounded))
            patterns.append(negative << (width - 1) | rounded)
        return pack(run.dtype, patterns)


def delta(config: dict[str, Any]) -> Codec:
    if "values" not in config:
        return Lossless(config)
    values = config["values"]
    sound = isinstance(values, dict) and values.get("id") == "bfp"
    need(sound, "codec_config", "values")
    return Residual(config, values)
