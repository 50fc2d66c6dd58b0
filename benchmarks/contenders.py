"""Ways to keep a model in a file: mcodec, and what people use besides, each at its defaults.

A contender takes the arrays of a model, and makes a file; from the file it makes arrays of their
own memory. Compressors of bytes (`compressors.py`) get all values as one piece, and keep no names
and no shapes.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import compressors
import h5py
import numpy as np
from safetensors.numpy import load_file, save_file

from mcodec.api import benchways as ways

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[Any]]

MCODEC: Final = "mcodec lossless"
SAFETENSORS: Final = "safetensors"
_BYTES: Final = ("zstd 3", "ZipNN", "z4ai", "B2 sh", "OpenZL")
_TORCH: Final = ("torch",)


@dataclass(frozen=True, slots=True)
class Contender:
    """A way to keep a model.

    Attributes
    ----------
    name, package, setting
        What the table calls it, the library whose version counts, and what it was asked for.
    save
        Given what `ready` returns, a path and threads: writes the file.
    load
        Given the path, threads and the arrays whose like are to come out: returns arrays.
    threads
        Whether `save`, and whether `load`, has threads to set.
    lossless
        Whether every bit returns.
    ready
        Brings arrays into the form that the library takes; not timed.
    needs
        Other packages.
    """

    name: str
    package: str
    setting: str
    save: Callable[[Any, Path, int], object]
    load: Callable[[Path, int, Arrays], dict[str, NDArray[Any]]]
    threads: tuple[bool, bool] = (False, False)
    lossless: bool = True
    ready: Callable[[Arrays], Any] = dict
    needs: tuple[str, ...] = ()


def dtype_of(arrays: Arrays) -> str:
    """Return the one dtype of a model's arrays."""
    (name,) = {array.dtype.name for array in arrays.values()}
    return name


def _load_mcodec(path: Path, threads: int, like: Arrays) -> dict[str, NDArray[Any]]:
    return ways.load_task(path, "A", threads)


def _bits(arrays: Arrays, path: Path, threads: int) -> None:
    ways.pack_arrays(arrays, path, threads, bits=12)


def _save_safetensors(arrays: dict[str, NDArray[Any]], path: Path, threads: int) -> None:
    save_file(arrays, path)


def _load_safetensors(path: Path, threads: int, like: Arrays) -> dict[str, NDArray[Any]]:
    found: dict[str, NDArray[Any]] = load_file(path)
    return found


def _plain(arrays: Arrays) -> dict[str, NDArray[Any]]:
    """Return arrays under their names, bfloat16 as the uint16 that libraries for NumPy take."""
    return dict(zip(arrays, ways.plain(arrays).values(), strict=True))


def _as_they_were(found: Mapping[str, NDArray[Any]], like: Arrays) -> dict[str, NDArray[Any]]:
    return {name: found[name].view(array.dtype) for name, array in like.items()}


def _save_h5(arrays: Arrays, path: Path, threads: int) -> None:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            how = {"compression": "gzip"} if array.size and array.shape else {}
            file.create_dataset(name, data=array, **how)


def _load_h5(path: Path, threads: int, like: Arrays) -> dict[str, NDArray[Any]]:
    with h5py.File(path) as file:
        return _as_they_were({name: file[name][()] for name in like}, like)


def _save_zt(arrays: dict[str, NDArray[Any]], path: Path, threads: int, **options: Any) -> None:
    importlib.import_module("ztensor.numpy").save_file(arrays, path, **options)


def _load_zt(path: Path, threads: int, like: Arrays) -> dict[str, NDArray[Any]]:
    found = importlib.import_module("ztensor.numpy").load_file(path, copy=True)
    return _as_they_were(found, like)


def _join(arrays: Arrays, kind: type[bytes] | type[bytearray]) -> Any:
    return kind(b"").join(array.tobytes() for array in arrays.values()), dtype_of(arrays)


def _of_bytes(peer: compressors.Peer) -> Contender:
    """Return a compressor of bytes as a contender."""

    def save(given: tuple[bytes | bytearray, str], path: Path, threads: int) -> None:
        path.write_bytes(peer.compress(*given, threads))

    def load(path: Path, threads: int, like: Arrays) -> dict[str, NDArray[Any]]:
        values = peer.decompress(path.read_bytes(), dtype_of(like), threads)
        found, at = {}, 0
        for name, array in like.items():
            part = np.frombuffer(values, array.dtype, array.size, at)
            found[name] = part.reshape(array.shape)
            at += array.nbytes
        return found

    kind = bytearray if peer.name == "ZipNN" else bytes  # what it takes without a copy
    return Contender(
        peer.name,
        peer.packages[0],
        peer.setting,
        save,
        load,
        (peer.threads, peer.back),
        ready=partial(_join, kind=kind),
        needs=peer.packages[1:],
    )


def _tensors(arrays: Arrays) -> dict[str, Any]:
    import torch

    dtype = getattr(torch, dtype_of(arrays))
    return {
        name: torch.from_numpy(array.view(f"i{array.itemsize}")).view(dtype)
        for name, array in arrays.items()
    }


def _int8() -> tuple[Any, Any]:
    """Return compressed-tensors' compressor of 8-bit integers, and its scheme: one scale a row."""
    importlib.import_module("compressed_tensors.compressors")
    quantization = importlib.import_module("compressed_tensors.quantization")
    base = importlib.import_module("compressed_tensors.compressors.base").BaseCompressor
    weights = quantization.QuantizationArgs(
        num_bits=8, symmetric=True, strategy="channel", type="int"
    )
    scheme = quantization.QuantizationScheme(targets=["Linear"], weights=weights)
    return base.get_value_from_registry("int-quantized"), scheme


def _save_ct(tensors: dict[str, Any], path: Path, threads: int) -> None:
    """Round matrices to integers and scales, as a compressed checkpoint has them; keep the rest."""
    import torch
    from safetensors.torch import save_file as save

    torch.set_num_threads(threads)
    utils = importlib.import_module("compressed_tensors.quantization.utils")
    compressor, scheme = _int8()
    found = {}
    for name, tensor in tensors.items():
        if tensor.ndim != 2 or not tensor.numel():
            found[name] = tensor
            continue
        low, high = tensor.amin(1, keepdim=True), tensor.amax(1, keepdim=True)
        scale, _ = utils.calculate_qparams(low, high, scheme.weights)
        packed = compressor.compress({"weight": tensor, "weight_scale": scale}, scheme)
        found |= {f"{name}\n{key}": value for key, value in packed.items()}
    save(found, path)


def _load_ct(path: Path, threads: int, like: Arrays) -> dict[str, NDArray[Any]]:
    import torch
    from safetensors.torch import load_file as load

    torch.set_num_threads(threads)
    compressor, scheme = _int8()
    stored, found = load(path), {}
    for name, array in like.items():
        tensor = stored.get(name)
        if tensor is None:
            keys = ("weight", "weight_scale")
            parts = {key: stored[f"{name}\n{key}"] for key in keys}
            tensor = compressor.decompress(parts, scheme)["weight"]
        bits = tensor.contiguous().view(getattr(torch, f"int{8 * array.itemsize}")).numpy()
        found[name] = bits.view(array.dtype)
    return found


def _contenders() -> tuple[Contender, ...]:
    both = (True, True)
    packers = {peer.name: peer for peer in compressors.PEERS}
    zt, ct = "ztensor", "compressed-tensors"
    return (
        Contender(
            MCODEC,
            "mcodec",
            "default",
            ways.pack_arrays,
            _load_mcodec,
            both,
        ),
        Contender("mcodec bits 12", "mcodec", "--bits 12", _bits, _load_mcodec, both, False),
        Contender(
            SAFETENSORS,
            "safetensors",
            "NumPy",
            _save_safetensors,
            lambda path, threads, like: _as_they_were(_load_safetensors(path, threads, like), like),
            ready=_plain,
        ),
        Contender("zTensor", zt, "canonical", _save_zt, _load_zt, ready=_plain),
        Contender(
            "zTensor zstd",
            zt,
            "compression=True",
            partial(_save_zt, compression=True),
            _load_zt,
            ready=_plain,
        ),
        Contender("h5py gzip", "h5py", "gzip, level 4", _save_h5, _load_h5, ready=_plain),
        *(_of_bytes(packers[name]) for name in _BYTES),
        Contender(
            "c-tensors int8",
            ct,
            "int-quantized, a scale a row",
            _save_ct,
            _load_ct,
            both,
            False,
            _tensors,
            _TORCH,
        ),
    )


CONTENDERS: Final = {one.name: one for one in _contenders()}


def installed() -> list[Contender]:
    """Return the contenders whose packages are here, and say which are not."""
    found = []
    for one in CONTENDERS.values():
        missing = [name for name in (one.package, *one.needs) if compressors.version(name) is None]
        if missing:
            print(f"{one.name}: left out, {missing[0]} is not installed", file=sys.stderr)
        else:
            found.append(one)
    return found
