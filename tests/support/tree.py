"""Checkpoints as torch.load gives them, compared leaf by leaf: types, order, bits, and sharing."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DEPTH: Final = 200


def check_same_checkpoint(original: Path, restored: Path) -> None:
    """Check that torch reads the same out of two files.

    Containers: type, keys with their types, order, and what an OrderedDict has as ``_metadata``.
    Tensors: type, dtype, shape, bits, whether they need a gradient, and which are one memory.
    Everything else: type and value.
    """
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what torch thinks of older files is not the question
        trees = [
            torch.load(path, weights_only=True, map_location="cpu") for path in (original, restored)
        ]
    first, second = (list(_leaves(tree, "", _DEPTH)) for tree in trees)
    assert [place for place, _ in second] == [place for place, _ in first]
    for (place, one), (_, two) in zip(first, second, strict=True):
        assert describe(two) == describe(one), place
    assert _sharing(second) == _sharing(first)


def _leaves(tree: Any, place: str, depth: int) -> Iterator[tuple[str, Any]]:
    """Yield what a tree holds with its place; containers come first, as their type and keys."""
    assert depth, "a checkpoint nested too deep to compare"
    if isinstance(tree, dict):
        yield place, (type(tree), [(type(key), key) for key in tree])
        for key, value in tree.items():
            yield from _leaves(value, f"{place}[{key!r}]", depth - 1)
    elif isinstance(tree, (list, tuple)):
        yield place, (type(tree), len(tree))
        for index, value in enumerate(tree):
            yield from _leaves(value, f"{place}[{index}]", depth - 1)
    else:
        yield place, tree
    attributes = getattr(tree, "__dict__", None)
    if attributes and isinstance(tree, dict):
        yield from _leaves(dict(attributes), f"{place}.__dict__", depth - 1)


def describe(value: Any) -> object:
    """Return a leaf in a form that compares bit for bit."""
    import torch

    if isinstance(value, torch.Tensor):
        kind = (type(value), value.dtype, tuple(value.shape), value.layout, value.requires_grad)
        if value.layout != torch.strided:
            plain = value.detach().coalesce()
            return kind, [describe(part) for part in (plain.indices(), plain.values())]
        if value.is_quantized:
            return kind, value.qscheme(), repr(value), describe(value.int_repr())
        return kind, value.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    if isinstance(value, float):
        return float, value.hex()
    return type(value), value


def _sharing(leaves: list[tuple[str, Any]]) -> list[list[str]]:
    """Return the places of tensors that are one memory, where there are several."""
    import torch

    groups: dict[tuple[int, object], list[str]] = {}
    for place, value in leaves:
        if isinstance(value, torch.Tensor) and value.layout == torch.strided and value.numel():
            key = (value.data_ptr(), tuple(value.shape))
            groups.setdefault(key, []).append(place)
    return sorted(group for group in groups.values() if len(group) > 1)
