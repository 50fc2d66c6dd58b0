"""codecs/float.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reference.basics import is_integer, need
from reference.codecs.base import Ask, Codec, add_planes, plane
from reference.codecs.numbers import WIDTHS, pack
from reference.runs import Run, Stream

if TYPE_CHECKING:
    from reference.runs import Part


SYMBOLS = {"float16": 1, "bfloat16": 15, "float32": 15}  # the last mode of symbols


class Float(Codec):
    modes = tuple(range(16))

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
        sound = mode == 0 or (mode <= SYMBOLS.get(run.dtype, 0) and kept >= 2)
        need(sound, "row_invalid", f"mode {mode} of {run.dtype}")
        names = ["exponent.1", "exponent.0"] if run.dtype == "float64" else ["exponent"]
        planes = range(y - 1, y - kept - 1, -1)
        if mode:
            names, planes = ["symbols"], planes[2:]
        return [
            Stream("sign", -(-n // 8)),
            *(Stream(name, n) for name in names),
            *(Stream(f"mantissa.{k}", -(-n // 8), y - k) for k in planes),
        ]

    def parse(self, part: Part) -> Any:
        n, streams = part.n, part.streams
        x, y, kept = self.sizes(part.run)
        mantissas, first = [0] * n, 0
        if part.mode:
            tops = [s and s + 4 * 14 * (part.mode - 1) for s in streams["symbols"]]
            exponents = [t >> 2 for t in tops]
            mantissas, first = [(t & 3) << (y - 2) for t in tops], 2
        elif part.run.dtype == "float64":
            high, low = streams["exponent.1"], streams["exponent.0"]
            exponents = [h << 8 | e for h, e in zip(high, low, strict=True)]
        else:
            exponents = list(streams["exponent"])
        need(max(exponents, default=0) < 1 << x, "stream_invalid", "bits above the exponent field")
        held = first + add_planes(mantissas, streams, y - 1 - first, y - kept)
        return plane(streams["sign"], n), exponents, mantissas, held

    def dithers(self, run: Run, below: Codec) -> bool:
        if not isinstance(below, Float):
            return False
        x, y, kept = self.sizes(run)
        whole_exponent = self.keep is None or self.keep >= 1 + x
        return whole_exponent and min(below.sizes(run)[2], y - kept) > 0

    def noise(self, run: Run, fields: Any) -> tuple[list[int], int]:
        _, y, kept = self.sizes(run)
        return [m >> (y - kept) for m in fields[2]], kept

    def decode(self, run: Run, fields: Any, ask: Ask) -> bytes:
        x, y, kept = self.sizes(run)
        signs, exponents, mantissas, held = fields
        k = held if ask.planes is None else min(held, ask.planes)
        below = [0] * len(signs)
        if ask.below is not None:
            integers, their_bits = ask.below
            t = min(their_bits, y - kept)
            below = [i >> (their_bits - t) << (y - kept - t) for i in integers]
        patterns = []
        for s, e, m, low in zip(signs, exponents, mantissas, below, strict=True):
            top = m >> (y - k) << (y - k)
            if 0 < e < (1 << x) - 1:
                top |= low
            if k < kept and e == (1 << x) - 1:
                if m and not top:
                    top = 1 << (y - 1)  # a NaN stays a NaN
            elif k < kept and ask.mid and e:
                top |= 1 << (y - k - 1)
            patterns.append(s << (x + y) | e << y | top)
        return pack(run.dtype, patterns)
