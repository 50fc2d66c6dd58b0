"""What a codec is: a small frozen dataclass that turns blocks into streams and back.

The codec of a run is made from its configuration in the manifest (`registry.from_config`). It must
be all that decoding needs, besides the streams. Modules of codecs import NumPy and the kernels only
inside the functions that compute, so that listing a file needs neither.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from mcodec.errors import McodecError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Self

    from numpy.typing import NDArray

    from mcodec.codec.quantized import Quantized
    from mcodec.codec.streams import Stream
    from mcodec.types import CodedStream, RunSpec, StreamSpec, TensorSpec

    Coded = tuple[int, list[CodedStream]]  # a block's mode and streams
    Bases = Sequence[NDArray[Any]]  # one array a role
    Write = Callable[[NDArray[Any]], None]

FLOAT_DTYPES: Final = ("float16", "bfloat16", "float32", "float64")


@dataclass(frozen=True, slots=True)
class View:
    """How a task is to be decoded; the default is the canonical decode.

    Attributes
    ----------
    planes : int or None
        Decode with so many magnitude planes of each run, from the top; None for all.
    midpoint : bool or None
        Reconstruct in the middle of what the planes leave open; None for the codec's default.
    dither : bool
        Fill the low bits with the top planes of the next task of the pair (paper 001).
    """

    planes: int | None = None
    midpoint: bool | None = None
    dither: bool = False

    @property
    def canonical(self) -> bool:
        """Whether digests and certificates speak of this decode."""
        return self.planes is None and self.midpoint is None and not self.dither


CANONICAL: Final = View()


@dataclass(frozen=True, slots=True)
class Partner:
    """The other run of a pair, for a dithered decode: its codec and one block's streams."""

    codec: Codec
    mode: int
    streams: Sequence[Stream | None]


class NotCodableError(McodecError):
    """The values of a tensor cannot be coded so (a NaN in block floating point)."""


class Codec(ABC):
    """The base of all codecs (spec/codecs/README.md)."""

    codec_id: ClassVar[str]

    @classmethod
    @abstractmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make the codec of a configuration; `id` has been taken off it.

        Raises
        ------
        CodecConfigError
            An unknown key, or a value that cannot be.
        """

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """Return the configuration, with `id`, that `from_config` takes."""

    @abstractmethod
    def check(self, run: RunSpec) -> None:
        """Raise CodecConfigError if the codec cannot carry the run."""

    def exact(self, dtype: str) -> bool:
        """Whether every bit of every value of a dtype is kept; most codecs are exact."""
        return True

    @property
    def weight_bits(self) -> int | None:
        """Bits a weight as the papers count them; None where it is the dtype's width."""
        return None

    @property
    def quantized(self) -> Quantized | None:
        """The integers under scales that its values are; None where they are none."""
        return None

    @property
    def by_levels(self) -> bool:
        """Whether fewer levels can be decoded without the others, as progressive files need."""
        return True

    def head_streams(self, run: RunSpec) -> tuple[StreamSpec, ...]:
        """Return the streams of the run's head; most codecs have none."""
        return ()

    @abstractmethod
    def block_streams(self, run: RunSpec, block: int, mode: int) -> tuple[StreamSpec, ...] | None:
        """Return the streams of a block in a mode; None for a mode that the codec has not."""

    def counted_streams(
        self, run: RunSpec, block: int, mode: int, streams: Sequence[Stream | None]
    ) -> tuple[StreamSpec, ...]:
        """Return `block_streams` with the exact lengths of counted streams; most have none.

        Parameters
        ----------
        streams
            Those before the first counted one, at least, as the file has them.

        Raises
        ------
        FormatError
            ``stream_invalid``: they do not say how long the counted ones are.
        """
        return self.block_streams(run, block, mode) or ()

    def roles(self, dtype: str) -> tuple[str, ...]:
        """Return the dtypes of what a run of a dtype stands on, one a role; most stand alone."""
        return ()

    def survey(
        self,
        tensor: TensorSpec,
        blocks: Iterable[NDArray[Any]],
        bases: Sequence[Iterable[NDArray[Any]]] = (),
    ) -> Any:
        """Look once over a whole tensor before it is encoded; most codecs need not.

        Parameters
        ----------
        tensor
            Its name, dtype and shape.
        blocks
            Its values, block by block, one-dimensional.
        bases
            The same of the canonical decode of what it stands on, one a role.

        Raises
        ------
        NotCodableError
            The codec cannot carry these values.
        """
        return None

    @property
    def surveys(self) -> bool:
        """Whether `survey` has to see the values."""
        return False

    @property
    def plain(self) -> bool:
        """Whether a tensor's dtype alone says that the codec can carry it; most look at shapes."""
        return False

    def dithers_with(self, below: Codec, dtype: str) -> bool:
        """Whether the next run of a pair, under codec `below`, gives low bits to a run of this."""
        return False

    def encode_head(self, run: RunSpec, surveys: Sequence[Any]) -> tuple[Any, list[CodedStream]]:
        """Return what `encode` needs of the members' surveys, and the head's streams."""
        return None, []

    @abstractmethod
    def encode(
        self,
        run: RunSpec,
        block: int,
        values: NDArray[Any],
        head: Any,
        *,
        planes_only: bool,
        bases: Bases = (),
    ) -> tuple[int, list[CodedStream]]:
        """Return the mode and the streams of one block.

        Parameters
        ----------
        values
            The block's elements, one-dimensional, little-endian, gaps zero.
        head
            What `encode_head` gave.
        planes_only
            The run is in a pair or a progressive file: no mode that hides planes.
        bases
            One array a role, the canonical decode of what these elements stand on, gaps zero.
        """

    def recode(self, run: RunSpec, block: int, coded: Coded, *, planes_only: bool) -> Coded:
        """Return a coded block in the mode that `encode` would choose; most have but one."""
        return coded

    def decode_head(self, run: RunSpec, streams: Sequence[Stream | None]) -> Any:
        """Check the head's streams, and return what `encode_head` gave `encode`."""
        return None

    def level(self, view: View) -> int | None:
        """Return the highest level that a view needs; None for all."""
        return view.planes

    @abstractmethod
    def decode(
        self,
        run: RunSpec,
        block: int,
        mode: int,
        streams: Sequence[Stream | None],
        head: Any,
        out: NDArray[Any],
        view: View = CANONICAL,
        partner: Partner | None = None,
        bases: Bases = (),
    ) -> None:
        """Decode one block into `out`, of the run's dtype and the block's length.

        Streams above `level(view)` may be None. `bases` are as in `encode`.

        Raises
        ------
        FormatError
            ``stream_invalid``: the bytes break the rules of the codec's page.
        NeedAllPlanesError
            The view needs streams that are None; call again with all of them.
        """

    def prepare(
        self,
        run: RunSpec,
        block: int,
        mode: int,
        streams: Sequence[Stream | None],
        head: Any,
        view: View = CANONICAL,
        partner: Partner | None = None,
        bases: Bases = (),
    ) -> Write:
        """Do of `decode` what needs no array to write to, and return the rest as a function.

        It may be called any number of times, each time with an array as `decode` takes it; loaders
        that write one block over and over keep it.

        Raises
        ------
        FormatError, NeedAllPlanesError
            As `decode`; the function that is returned may raise the former too.
        """

        def write(out: NDArray[Any]) -> None:
            self.decode(run, block, mode, streams, head, out, view, partner, bases)

        return write
