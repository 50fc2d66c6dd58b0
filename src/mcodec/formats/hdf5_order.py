"""The model's own order of its tensors, where a Keras file names it (Keras 2, and 3's legacy .h5).

The attributes are text that may lie: a name counts only if the walk has met a tensor of that
path, and whatever is not named follows in the order of the walk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from h5py import h5a, h5f, h5g

from mcodec.formats.hdf5_types import String
from mcodec.limits import MAX_SOURCE_DEPTH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcodec.formats.hdf5_values import ValueReader
    from mcodec.formats.hdf5_walk import Inventory

_LAYERS: Final = "layer_names"
_WEIGHTS: Final = "weight_names"


class ModelOrder:
    """Puts the tensors of one file in order.

    Parameters
    ----------
    fid : h5py.h5f.FileID
    found : Inventory
    reader : ValueReader
    """

    def __init__(self, fid: h5f.FileID, found: Inventory, reader: ValueReader) -> None:
        self._fid = fid
        self._found = found
        self._reader = reader
        self._groups = {node.path for node in found.nodes if node.what == "group"}
        self._links = {node.path: node.target for node in found.nodes if node.what == "link"}

    def names(self) -> list[str]:
        """Return the paths of all tensors: by layers, then the optimizer's, then the others."""
        named = (path for path in self._named() if path in self._found.tensors)
        return list(dict.fromkeys((*named, *self._found.tensors)))

    def _named(self) -> Iterator[str]:
        for base in ("model_weights", ""):
            prefix = f"{base}/" if base else ""
            for layer in dict.fromkeys(self._texts(base, _LAYERS)):
                yield from self._weights(f"{prefix}{layer}")
        yield from (p for p in self._found.tensors if p.startswith("model_weights/"))
        yield from self._weights("optimizer_weights")

    def _weights(self, group: str) -> Iterator[str]:
        return (f"{group}/{name}" for name in self._texts(group, _WEIGHTS))

    def _texts(self, group: str, name: str) -> list[str]:
        """Return a list of names; Keras cuts long ones into name0, name1, ... without a gap."""
        if not self._is_group(group):
            return []
        oid = h5g.open(self._fid, f"/{group}".encode())
        if h5a.exists(oid, name.encode()):
            return self._attribute(oid, name, group)
        texts: list[str] = []
        part = 0
        while h5a.exists(oid, f"{name}{part}".encode()):
            texts += self._attribute(oid, f"{name}{part}", group)
            part += 1
        return texts

    def _is_group(self, path: str) -> bool:
        """Tell whether a path leads to a group that the walk has met, perhaps through links."""
        if path in self._groups:
            return True
        if not self._links or path.count("/") >= MAX_SOURCE_DEPTH:
            return False
        found = ""
        for name in path.split("/"):
            found = f"{found}/{name}" if found else name
            found = self._links.get(found, found)
        return found in self._groups

    def _attribute(self, oid: h5g.GroupID, name: str, group: str) -> list[str]:
        value = self._reader.attribute(oid, name.encode(), group)
        kind = self._reader.table.types[value.type]
        if not isinstance(kind, String):
            return []
        if kind.size is None:
            return value.texts
        cells = (value.data[i : i + kind.size] for i in range(0, len(value.data), kind.size))
        return [cell.rstrip(b"\0 ").decode("utf-8", "replace") for cell in cells]
