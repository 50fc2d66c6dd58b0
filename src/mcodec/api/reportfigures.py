"""The figures of a `.mc` file's report: data classes that a program can use, and their JSON."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mcodec.api.listing import StreamRow
    from mcodec.api.tasklist import TaskRow

# Parts of a file, in the order that a report says them in; together they are every byte of it.
PARTS: Final = {
    "tensors": "streams of the tensors that tasks name",
    "bases": "bases and owner maps that no task names itself",
    "skeletons": "what the sources had besides arrays",
    "unnamed": "arrays that no task names",
    "manifest": "names, shapes, codecs, digests and certificates",
    "rows": "the table of chunks",
    "header": "the header",
    "padding": "zero bytes between chunks, which keep them aligned",
}

# Groups of streams, by what a weight is made of; the order is that of every chart.
GROUPS: Final = {
    "sign": "signs",
    "exponent": "exponents",
    "symbols": "symbols: exponents or top bits, as bytes",
    "mantissa": "mantissa and magnitude planes",
    "codes": "8-bit integers",
    "scale": "scales",
    "positions": "positions and masks",
    "difference": "differences from a base",
    "bytes": "bytes as they came",
    "other": "other streams",
}
MOST_BINS: Final = 36  # bars of the histogram
_GROUP_OF: Final = {
    "magnitude": "mantissa",
    "mask": "positions",
    "gap": "positions",
    "length": "difference",
    "low": "difference",
}


@lru_cache(maxsize=1024)
def group_of(stream: str) -> str:
    """Return the group, a key of `GROUPS`, of a stream by its name (`mantissa.11`, `gap`, …)."""
    kind = stream.partition(" ")[0].partition(".")[0]  # "low.30 to sign" is one chunk of several
    kind = _GROUP_OF.get(kind, kind)
    return kind if kind in GROUPS else "other"


@dataclass(frozen=True, slots=True)
class Quality:
    """What the certificates say of some tensors.

    Attributes
    ----------
    exact, lossy, not_finite
        Tensors by what their certificates say; ``not_finite`` had an infinity or a NaN, of which
        an error has no measure.
    max_abs_error
        The largest |error| of any weight; 0 where all is exact.
    sqnr_db
        10 log10 of Σw² / Σe² over the lossy tensors' weights, in dB; None where there is none.
    """

    exact: int
    lossy: int
    not_finite: int
    max_abs_error: float
    sqnr_db: float | None

    def to_json(self) -> dict[str, Any]:
        """Return the figures by name."""
        return {
            "exact_tensors": self.exact,
            "lossy_tensors": self.lossy,
            "not_finite_tensors": self.not_finite,
            "max_abs_error": self.max_abs_error,
            "sqnr_db": self.sqnr_db,
        }


@dataclass(frozen=True, slots=True)
class Group:
    """Tensors that belong together: those of a layer, or of one codec.

    Attributes
    ----------
    name
        The layer's, or the codec string.
    tensors, weights
        How many of them, and of their elements.
    source_bytes
        Of their arrays.
    stored_bytes
        Of their streams; what was counted before, in the same place, counts nothing.
    streams
        Stored bytes by group of streams (`GROUPS`), in that order.
    quality
        What their certificates say.
    """

    name: str
    tensors: int
    weights: int
    source_bytes: int
    stored_bytes: int
    streams: dict[str, int]
    quality: Quality

    @property
    def bits_per_weight(self) -> float:
        """Stored bits for each weight."""
        return 8 * self.stored_bytes / self.weights if self.weights else 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the figures by name."""
        return {
            "name": self.name,
            "tensors": self.tensors,
            "weights": self.weights,
            "source_bytes": self.source_bytes,
            "stored_bytes": self.stored_bytes,
            "streams": self.streams,
            **self.quality.to_json(),
        }


@dataclass(frozen=True, slots=True)
class TensorFigures:
    """One tensor of one task.

    Attributes
    ----------
    task, name, dtype, shape, codec
        As `mcodec info` has them.
    bases
        What it stands on, as ``task:name``.
    same_as
        ``task:name`` of the tensor that was stored for it; empty if that is its own.
    weights, source_bytes, stored_bytes
        Elements, and bytes of the array and of its streams, also where those are another's too.
    max_abs_error, sqnr_db
        Of its certificate; 0 and None where it is exact, None and None where it is not finite.
    """

    task: str
    name: str
    dtype: str
    shape: tuple[int, ...]
    codec: str
    bases: tuple[str, ...]
    same_as: str
    weights: int
    source_bytes: int
    stored_bytes: int
    max_abs_error: float | None
    sqnr_db: float | None

    @property
    def bits_per_weight(self) -> float:
        """Stored bits for each weight."""
        return 8 * self.stored_bytes / self.weights if self.weights else 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the figures by name."""
        return {
            "task": self.task,
            "name": self.name,
            "dtype": self.dtype,
            "shape": list(self.shape),
            "codec": self.codec,
            "bases": list(self.bases),
            "same_as": self.same_as or None,
            "weights": self.weights,
            "source_bytes": self.source_bytes,
            "stored_bytes": self.stored_bytes,
            "max_abs_error": self.max_abs_error,
            "sqnr_db": self.sqnr_db,
        }


@dataclass(frozen=True, slots=True)
class TaskFigures:
    """One task: its row of `mcodec ls`, where it came from, its layers and its error.

    A layer is all that shares what stands before the last ``/`` or ``.`` of its tensors' names. A
    tensor that the task names twice counts in the first of its layers.
    """

    row: TaskRow
    came_from: str | None
    metadata: dict[str, str]
    layers: tuple[Group, ...]
    quality: Quality

    def to_json(self) -> dict[str, Any]:
        """Return the figures by name."""
        return {
            **self.row.to_json(),
            "format": self.came_from,
            "metadata": self.metadata,
            **self.quality.to_json(),
            "layers": [layer.to_json() for layer in self.layers],
        }


@dataclass(frozen=True, slots=True)
class CodecStream:
    """A stream over all tensors of one kind of codec, such as ``delta(values=bfp)``."""

    kind: str
    row: StreamRow

    def to_json(self) -> dict[str, Any]:
        """Return the figures by name."""
        return {
            "codec": self.kind,
            "name": self.row.name,
            "coder": self.row.coder,
            "raw_bytes": self.row.raw_bytes,
            "stored_bytes": self.row.stored_bytes,
        }


@dataclass(frozen=True, slots=True)
class Bin:
    """A bar of the histogram: weights that take from ``low`` to less than ``high`` bits each.

    The last of `MOST_BINS` bars has all from ``low`` on.
    """

    low: int
    high: int
    exact_weights: int
    other_weights: int


@dataclass(frozen=True, slots=True)
class Report:
    """What a `.mc` file holds and what each of its bytes is for.

    Attributes
    ----------
    name
        The file's, without its folder.
    file_bytes, layout
        As its header states them.
    written_by
        The program that wrote it, by the manifest; may be empty.
    source_bytes
        Of all tasks' arrays.
    parts
        Bytes by part (`PARTS`); they add up to `file_bytes`.
    streams
        The tensors' streams by kind of codec, each place counted once: they add up to
        ``parts["tensors"]``.
    tasks, codecs, tensors
        The tasks, what each codec took (each place once), and all tensors in the file's order.
    histogram
        Weights by stored bits a weight, each place once.
    pairs
        Fused tensors: task to tensor name.
    quality
        Of all tensors, each place once.
    """

    name: str
    file_bytes: int
    layout: str
    written_by: str
    source_bytes: int
    parts: dict[str, int]
    streams: tuple[CodecStream, ...]
    tasks: tuple[TaskFigures, ...]
    codecs: tuple[Group, ...]
    tensors: tuple[TensorFigures, ...]
    histogram: tuple[Bin, ...]
    pairs: tuple[dict[str, str], ...]
    quality: Quality

    def to_json(self) -> dict[str, Any]:
        """Return what `report --json` prints."""
        return {
            "file": self.name,
            "file_bytes": self.file_bytes,
            "layout": self.layout,
            "written_by": self.written_by or None,
            "source_bytes": self.source_bytes,
            "parts": self.parts,
            **self.quality.to_json(),
            "streams": [stream.to_json() for stream in self.streams],
            "tasks": [task.to_json() for task in self.tasks],
            "codecs": [codec.to_json() for codec in self.codecs],
            "tensors": [tensor.to_json() for tensor in self.tensors],
            "histogram": [
                {
                    "from_bits": one.low,
                    "to_bits": one.high,
                    "exact_weights": one.exact_weights,
                    "other_weights": one.other_weights,
                }
                for one in self.histogram
            ],
            "pairs": list(self.pairs),
        }
