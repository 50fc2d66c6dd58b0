"""codecs/csr.md."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bitarray import bitarray

from reference.basics import is_integer, need
from reference.codecs.base import Ask, Codec, plane, read_codec
from reference.codecs.numbers import WIDTHS
from reference.runs import Run, Stream

if TYPE_CHECKING:
    from reference.runs import Part

FORMS = 10  # mask, and gaps with 0 to 8 low bits


class Csr(Codec):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config, "values", "split")
        values = config.get("values", {"id": "float"})
        sound = isinstance(values, dict) and values.get("id") in ("float", "bfp", "int8")
        need(sound, "codec_config", "values")
        block_scopes = str(values.get("scope", "tensor")).startswith("block")
        need(not block_scopes, "codec_config", "values under scopes of blocks")
        self.values = read_codec(values)
        self.split: int = config.get("split", 1)
        need(is_integer(self.split, -64, 64), "codec_config", "split")
        self.modes = tuple(16 * form + mode for form in range(FORMS) for mode in self.values.modes)

    def check(self, run: Run) -> None:
        need(run.dtype in WIDTHS, "codec_config", f"csr of {run.dtype}")
        sound = all(len(shape) < 2 or len(shape) >= abs(self.split) for shape in run.shapes)
        need(sound, "codec_config", f"split {self.split} of a member")
        self.values.check(run)

    def head(self, run: Run) -> list[Stream]:
        return self.values.head(run)

    def block(self, run: Run, n: int, mode: int) -> list[Stream]:
        form, inner = divmod(mode, 16)
        if form == 0:
            streams = [Stream("mask", -(-n // 8))]
        else:
            low = [f"gap.low.{j}" for j in range(form - 2, -1, -1)]
            streams = [Stream("gap", n, variable=True)]
            streams += [Stream(name, -(-n // 8), variable=True, counted=True) for name in low]
        for s in self.values.block(run, n, inner):  # what is variable there stays so
            streams.append(s if s.variable else s._replace(variable=True, counted=True))
        return streams

    def stored(self, part: Part) -> int:
        """How many elements are stored: c."""
        if part.mode < 16:
            return int(plane(part.streams["mask"], part.n).count())
        return sum(byte != 255 for byte in part.streams["gap"])

    def counted(self, part: Part, name: str) -> int:
        c = self.stored(part)
        if name.startswith("gap.low."):
            return -(-c // 8)
        streams = self.values.block(part.run, c, part.mode % 16)
        return next(s.length for s in streams if s.name == name)

    def positions(self, part: Part) -> list[int]:
        """Where in the block the stored elements are."""
        if part.mode < 16:
            return list(plane(part.streams["mask"], part.n).search(bitarray("1")))
        need(part.streams["gap"][-1:] != b"\xff", "stream_invalid", "a gap without an end")
        highs, high = [], 0
        for byte in part.streams["gap"]:
            high += byte
            if byte != 255:
                highs.append(high)
                high = 0
        k = part.mode // 16 - 1
        gaps = [high << k for high in highs]
        for j in range(k):
            for i, bit in enumerate(plane(part.streams[f"gap.low.{j}"], len(gaps))):
                gaps[i] |= bit << j
        result, last = [], -1
        for gap in gaps:
            last += gap + 1
            result.append(last)
        need(last < part.n, "stream_invalid", "a position behind the block")
        return result

    def parse(self, part: Part) -> Any:
        start, n = part.run.extent(part.block)
        places = self.positions(part)
        inside = {p for _, begin, end in part.run.members(start, n) for p in range(begin, end)}
        sound = all(start + p in inside for p in places)
        need(sound, "stream_invalid", "an element stored between two members")
        inner = replace(part, mode=part.mode % 16, places=[start + p for p in places])
        return n, places, self.values.parse(inner)

    def decode(self, run: Run, fields: Any, ask: Ask) -> bytes:
        n, places, inner = fields
        size = run.itemsize
        values = self.values.decode(run, inner, ask)
        result = bytearray(n * size)
        for i, p in enumerate(places):
            result[p * size : (p + 1) * size] = values[i * size : (i + 1) * size]
        return bytes(result)
