"""codecs/mask.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reference.basics import is_integer, need
from reference.codecs.base import Ask, Codec, plane
from reference.codecs.numbers import WIDTHS
from reference.runs import Run, Stream, itemsize

if TYPE_CHECKING:
    from reference.runs import Part


class Mask(Codec):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config, "owner", "zero")
        self.owner: int | None = config.get("owner")
        self.signed = config.get("zero", "plain") == "signed"
        sound = "owner" not in config or is_integer(self.owner, 1, 255)
        sound = sound and config.get("zero", "plain") in ("plain", "signed")
        need(sound, "codec_config", "owner or zero")

    def check(self, run: Run) -> None:
        need(itemsize(run.dtype) in (1, 2, 4, 8), "codec_config", f"mask of {run.dtype}")
        sound = not self.signed or run.dtype in WIDTHS
        need(sound, "codec_config", f"signed zeros of {run.dtype}")

    def roles(self, dtype: str) -> list[str]:
        return [dtype] if self.owner is None else [dtype, "uint8"]

    def block(self, run: Run, n: int, mode: int) -> list[Stream]:
        return [Stream("mask", -(-n // 8))] if self.owner is None else []

    def parse(self, part: Part) -> Any:
        if self.owner is None:
            there = plane(part.streams["mask"], part.n).tolist()
        else:
            there = [1 <= owner <= self.owner for owner in part.bases[1]]
        start, n = part.run.extent(part.block)
        inside = [False] * n
        for _, begin, end in part.run.members(start, n):
            inside[begin - start : end - start] = [True] * (end - begin)
        return part.bases[0], there, inside

    def decode(self, run: Run, fields: Any, ask: Ask) -> bytes:
        base, there, inside = fields
        size = run.itemsize
        result = bytearray(len(base))
        for i, (own, member) in enumerate(zip(there, inside, strict=True)):
            if member and own:
                result[i * size : (i + 1) * size] = base[i * size : (i + 1) * size]
            elif member and self.signed:  # the sign bit is the top bit of the last byte
                result[(i + 1) * size - 1] = base[(i + 1) * size - 1] & 0x80
        return bytes(result)
