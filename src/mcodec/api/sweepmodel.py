"""A model that a sweep goes over: its layers, and its weights under a setting."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from mcodec.api.listing import sqnr_db
from mcodec.api.patterns import choose_by_name
from mcodec.api.planning import Coding, is_weight, survey
from mcodec.api.scalenames import scales_of
from mcodec.api.values import Values
from mcodec.codec import error
from mcodec.codec.bfp import BfpCodec
from mcodec.codec.float import FloatCodec
from mcodec.codec.scope import parse_scope
from mcodec.engine import map_ordered
from mcodec.errors import CodecConfigError
from mcodec.types import FLOATS, RunSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Executor

    from numpy.typing import NDArray

    from mcodec.api.sweepcells import How
    from mcodec.codec.base import Codec
    from mcodec.codec.error import Stats
    from mcodec.formats.base import TensorSource


class SweptModel:
    """An open model and what a sweep may change of it.

    Parameters
    ----------
    source
        Stays its owner's to close.
    how
        What is changed.
    warn
        Called with a line for a pattern that matches nothing, and a tensor that cannot be coded.

    Attributes
    ----------
    layers : dict of str to list of int
        Tensors that may be changed, by layer, in model order. A layer is all that shares what
        stands before the last ``/`` or ``.`` of the name.
    """

    def __init__(
        self,
        source: TensorSource,
        how: How,
        executor: Executor | None = None,
        warn: Callable[[str], None] = lambda message: None,
    ) -> None:
        self.source = source
        self._how = how
        self._executor = executor
        self._warn = warn
        self.chosen = _choose(source, how, warn)
        self.layers: dict[str, list[int]] = {}
        for index in self.chosen:
            self.layers.setdefault(layer_of(source.tensors[index].name), []).append(index)
        self._exact: list[NDArray[Any]] | None = None

    def changed(self, layer: str | None, setting: int | None) -> list[int]:
        """Return the tensors that a setting changes, by their dtypes; their values may be exact."""
        if setting is None:
            return []
        wanted = self.chosen if layer is None else self.layers[layer]
        return [index for index in wanted if self._codec(index, setting) is not None]

    def check(self, setting: int) -> None:
        """Refuse a scope that a tensor has not, before anything is measured.

        Raises
        ------
        CodecConfigError
            It names the tensor.
        """
        for index in self.chosen:
            codec, spec = self._codec(index, setting), self.source.tensors[index]
            try:
                if codec is not None:
                    codec.check(RunSpec.of(spec.dtype, [spec.shape]))
            except CodecConfigError as error:
                raise error.at(f"tensor {spec.name!r}") from None

    def codings(self, layer: str | None, setting: int | None) -> dict[int, Coding]:
        """Return how each tensor is coded that a setting changes."""
        plain = Values([self.source], [{}])

        def look(index: int) -> tuple[int, Coding]:
            codec = self._codec(index, setting or 0)
            assert codec is not None
            return index, survey(plain, (0, index), codec, (), self._warn)

        return dict(map_ordered(self._executor, look, self.changed(layer, setting)))

    def weights(
        self, layer: str | None, codings: Mapping[int, Coding]
    ) -> tuple[dict[str, NDArray[Any]], Stats]:
        """Return all arrays by name, some as they decode, and the error of all that may change.

        Of a layer, the error is that of what the layer has.
        """
        source = self.source
        exact = self._arrays()
        values = Values([source], [codings])

        def decode(index: int) -> tuple[int, NDArray[Any], Stats]:
            spec = source.tensors[index]
            before = exact[index].reshape(-1)
            after = values.decoded((0, index), 0, spec.size) if index in codings else before
            stats = error.measure(spec.dtype, before, after)
            return index, after.reshape(spec.shape), stats

        arrays = list(exact)
        total = error.NO_ERROR
        wanted = self.chosen if layer is None else self.layers[layer]
        for index, array, stats in map_ordered(self._executor, decode, wanted):
            arrays[index] = array
            total = error.add(total, stats)
        return {
            spec.name: arrays[source.same_as.get(index, index)]
            for index, spec in enumerate(source.tensors)
        }, total

    def _arrays(self) -> list[NDArray[Any]]:
        """Return the model as it is, read once."""
        if self._exact is None:

            def read(index: int) -> NDArray[Any]:
                spec = self.source.tensors[index]
                return self.source.read(index, 0, spec.size).reshape(spec.shape)

            self._exact = list(map_ordered(self._executor, read, range(len(self.source.tensors))))
        return self._exact

    def _codec(self, index: int, setting: int) -> Codec | None:
        """Return a tensor's codec under a setting; None where that keeps every bit."""
        width = FLOATS[self.source.tensors[index].dtype].width
        if self._how.mode == "keep":
            return FloatCodec(setting) if setting < width else None
        if setting + 1 >= width:
            return None
        return BfpCodec(setting, self._how.rounding, parse_scope("bfp", self._how.scope))


def layer_of(name: str) -> str:
    """Return what stands before the last ``/`` or ``.`` of a name; all of it if there is none."""
    return name[: max(name.rfind("/"), name.rfind("."), 0)] or name


def decibels(stats: Stats) -> tuple[float | None, float | None]:
    """Return the largest |error| and the SQNR in dB; None as `sweepcells.Cell` says."""
    peak, noise, signal = stats
    return peak if math.isfinite(peak) else None, sqnr_db(signal, noise)


def _choose(source: TensorSource, how: How, warn: Callable[[str], None]) -> list[int]:
    """Return the float tensors that a sweep may change, second names left out."""
    scales = scales_of(source.tensors) if how.mode == "bits" else frozenset()
    names: dict[int, list[str]] = {}
    refused = set()
    for index, tensor in enumerate(source.tensors):
        first = source.same_as.get(index, index)
        names.setdefault(first, []).append(tensor.name)
        if tensor.dtype not in FLOATS or (
            how.mode == "bits" and (not is_weight(tensor) or tensor.name in scales)
        ):
            refused.add(first)
    floats = {index: own for index, own in names.items() if index not in refused}
    return choose_by_name(floats, how.include, how.exclude, warn, "tensor that a sweep changes")
