"""codecs/raw.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reference.basics import need
from reference.codecs.base import Ask, Codec
from reference.runs import Run, Stream

if TYPE_CHECKING:
    from reference.runs import Part


class Raw(Codec):
    def block(self, run: Run, n: int, mode: int) -> list[Stream]:
        return [Stream("bytes", n * run.itemsize)]

    def parse(self, part: Part) -> Any:
        data = part.streams["bytes"]
        sound = part.run.dtype != "bool" or max(data, default=0) <= 1
        need(sound, "stream_invalid", "a bool that is not 0 or 1")
        return data

    def decode(self, run: Run, fields: Any, ask: Ask) -> bytes:
        return bytes(fields)
