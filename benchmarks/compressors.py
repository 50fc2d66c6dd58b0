"""Other compressors of weights, each at its default and at its strongest practical setting.

A peer gets all values of one dtype of a model as one piece of bytes, told how wide an element is
where it asks; what it makes is decompressed and compared. A peer that is not installed is left out
with a line.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import zstandard

if TYPE_CHECKING:
    from collections.abc import Callable

    Data = bytes | bytearray
    Compress = Callable[[Data, str, int], bytes]

WIDTHS: Final = {"float16": 2, "bfloat16": 2, "float32": 4}
_Z4AI: Final = {"float16": "fp16", "bfloat16": "bf16", "float32": "fp32"}
_CHUNK: Final = 1 << 26  # bytes of a chunk of Blosc2


@dataclass(frozen=True, slots=True)
class Peer:
    """A compressor at one setting.

    Attributes
    ----------
    name, setting
        The library, and what it was asked for.
    packages
        What has to be installed; the first is the library.
    strongest
        Not the default, but what makes the smallest output in reasonable time.
    compress, decompress
        From bytes of a dtype to bytes, and back, with so many threads (0 is the library's own
        choice, as many as there are cores with most).
    threads, back
        Whether it has threads to set for compressing, and for decompressing.
    """

    name: str
    setting: str
    packages: tuple[str, ...]
    strongest: bool
    compress: Compress
    decompress: Compress
    threads: bool = False
    back: bool = False

    def size(self, data: bytes, dtype: str) -> int:
        """Compress, compare what comes back, and return the bytes."""
        packed = self.compress(data, dtype, 0)
        if self.decompress(packed, dtype, 0) != data:
            raise SystemExit(f"{self.name} did not give its input back")
        return len(packed)


def _zipnn(dtype: str, threads: int) -> Any:
    kind = importlib.import_module("zipnn").ZipNN
    return kind(input_format="byte", bytearray_dtype=dtype, threads=threads)


def _zipnn_in(data: Data, dtype: str, threads: int) -> bytes:
    """Compress; a bytearray is taken as it is, and holds something else afterwards."""
    given = data if isinstance(data, bytearray) else bytearray(data)
    return bytes(_zipnn(dtype, threads).compress(given))


def _zipnn_back(packed: Data, dtype: str, threads: int) -> bytes:
    found: bytes = _zipnn(dtype, threads).decompress(packed)
    return found


def _z4ai(effort: str | None) -> Compress:
    def compress(data: Data, dtype: str, threads: int) -> bytes:
        z4ai = importlib.import_module("z4ai")
        return bytes(z4ai.compress(data, dtype=_Z4AI[dtype], effort=effort, threads=threads))

    return compress


def _z4ai_back(packed: Data, dtype: str, threads: int) -> bytes:
    found: bytes = importlib.import_module("z4ai").decompress(packed)
    return found


def _blosc2(shuffle: str, level: int) -> Compress:
    def compress(data: Data, dtype: str, threads: int) -> bytes:
        blosc2 = importlib.import_module("blosc2")
        params = {
            "codec": blosc2.Codec.ZSTD,
            "clevel": level,
            "filters": [blosc2.Filter[shuffle]],
            "filters_meta": [0],
            "typesize": WIDTHS[dtype],
            "nthreads": threads or blosc2.nthreads,
        }
        chunk = max(WIDTHS[dtype], min(len(data), _CHUNK))
        return bytes(blosc2.SChunk(chunksize=chunk, data=data, cparams=params).to_cframe())

    return compress


def _blosc2_back(packed: Data, dtype: str, threads: int) -> bytes:
    blosc2 = importlib.import_module("blosc2")
    chunk = blosc2.schunk_from_cframe(packed)
    chunk.dparams = blosc2.DParams(nthreads=threads or blosc2.nthreads)
    found: bytes = chunk[:]
    return found


def _openzl(search: bool) -> Compress:
    """Compress numbers by OpenZL's own choice, or by a search over all that it has for floats."""

    def compress(data: Data, dtype: str, threads: int) -> bytes:
        zl = importlib.import_module("openzl.ext")
        compressor = zl.Compressor()
        compressor.set_parameter(zl.CParam.FormatVersion, zl.MAX_FORMAT_VERSION)
        graph = zl.graphs.Compress()(compressor)
        if search:
            fields = _openzl_fields(zl, compressor, dtype)
            graph = zl.graphs.BruteForce([graph, fields])(compressor)
        numbers = zl.nodes.ConvertSerialToNumLE(WIDTHS[dtype])(compressor, graph)
        compressor.select_starting_graph(numbers)
        context = zl.CCtx()
        context.ref_compressor(compressor)
        return bytes(context.compress([zl.Input(zl.Type.Serial, data)]))

    return compress


def _openzl_fields(zl: Any, compressor: Any, dtype: str) -> Any:
    """Return the graph that takes floats apart, and tries every coder on every part."""
    graphs = zl.graphs
    names = {"float32": "Float32", "float16": "Float16", "bfloat16": "BFloat16"}

    def best() -> Any:
        tried = [graphs.Store(), graphs.Entropy(), graphs.Fse(), graphs.Huffman()]
        tried += [graphs.Zstd(), graphs.Zstd(compression_level=9), graphs.Compress()]
        return graphs.BruteForce([graph(compressor) for graph in tried])(compressor)

    fraction = zl.nodes.TransposeSplit()(compressor, best())
    return getattr(zl.nodes, f"{names[dtype]}Deconstruct")()(compressor, fraction, best())


def _openzl_back(packed: Data, dtype: str, threads: int) -> bytes:
    zl = importlib.import_module("openzl.ext")
    return bytes(zl.DCtx().decompress(packed)[0].content.as_bytes())


def _zstd(level: int) -> Compress:
    def compress(data: Data, dtype: str, threads: int) -> bytes:
        own = threads if threads > 1 else 0  # one worker of its own is no thread less
        return zstandard.ZstdCompressor(level=level, threads=own).compress(data)

    return compress


def _zstd_back(packed: Data, dtype: str, threads: int) -> bytes:
    return zstandard.decompress(packed)


PEERS: Final = (
    Peer(
        "ZipNN",
        "AUTO, its only level",
        ("zipnn",),
        False,
        _zipnn_in,
        _zipnn_back,
        threads=True,
        back=True,
    ),
    Peer("z4ai", "default", ("z4ai",), False, _z4ai(None), _z4ai_back, threads=True),
    Peer("z4ai max", "effort max, brotli", ("z4ai", "brotli"), True, _z4ai("max"), _z4ai_back),
    *(
        Peer(
            f"{short} {level}".removesuffix(" 5"),
            f"{kind}, zstd, level {level}",
            ("blosc2",),
            level > 5,
            _blosc2(kind.upper(), level),
            _blosc2_back,
            threads=True,
            back=True,
        )
        for kind, short in (("shuffle", "B2 sh"), ("bitshuffle", "B2 bit"))
        for level in (5, 9)
    ),
    Peer("OpenZL", "graph Compress", ("openzl",), False, _openzl(False), _openzl_back),
    Peer(
        "OZL search",
        "float deconstruct, all coders tried",
        ("openzl",),
        True,
        _openzl(True),
        _openzl_back,
    ),
    *(
        Peer(
            f"zstd {level}",
            f"level {level}",
            ("zstandard",),
            level > 3,
            _zstd(level),
            _zstd_back,
            threads=True,
        )
        for level in (3, 19)
    ),
)


def installed() -> list[Peer]:
    """Return the peers whose packages are here, and say which are not."""
    found = []
    for peer in PEERS:
        missing = [package for package in peer.packages if version(package) is None]
        if missing:
            print(f"{peer.name}: left out, {missing[0]} is not installed", file=sys.stderr)
        else:
            found.append(peer)
    return found


def version(package: str) -> str | None:
    """Return the version of a package, or None where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
