"""codecs/README.md: what a codec's page says, as a class; and the words that all pages use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from bitarray import bitarray

from reference.basics import need

if TYPE_CHECKING:
    from collections.abc import Callable

    from reference.runs import Part, Run, Stream


class Ask(NamedTuple):
    """What a derived decode wants; `below` is the `noise` of the next run of the pair."""

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

    def roles(self, dtype: str) -> list[str]:
        """The dtypes of what a run of a dtype stands on, one for each role."""
        return []

    def counted(self, part: Part, name: str) -> int:
        """How long a counted stream is; those before it are in the part."""
        raise NotImplementedError

    def parse(self, part: Part) -> Any:
        """Check the streams of a block and its head, and take them apart into fields."""
        raise NotImplementedError

    def decode(self, run: Run, fields: Any, ask: Ask) -> bytes:
        """The bytes of the elements of a block."""
        raise NotImplementedError

    def dithers(self, run: Run, below: Codec) -> bool:
        """Whether the next run of the pair, under codec `below`, gives low bits to this one."""
        return False

    def noise(self, run: Run, fields: Any) -> tuple[list[int], int]:
        """What a run gives to the one before it: integers, and how many bits they have."""
        raise NotImplementedError


CODECS: dict[str, Callable[[dict[str, Any]], Codec]] = {}  # __init__.py fills it


def read_codec(config: dict[str, Any]) -> Codec:
    """Rule 8 for one configuration; a codec calls it for the codec that it carries."""
    need(config["id"] in CODECS, "codec_unknown", f"codec {config['id']!r}")
    return CODECS[config["id"]](config)


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
