"""What a manifest says beyond what this mcodec knows: it is kept when the file is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

import mcodec
from mcodec.container.manifest import Manifest, Task

if TYPE_CHECKING:
    from collections.abc import Mapping

_WRITER: Final = "writer"
_Raw = dict[str, msgspec.Raw]


class Unknown:
    """The keys of a manifest, and of its tasks, that this mcodec ignores.

    Parameters
    ----------
    text
        The JSON of a sound manifest.
    """

    def __init__(self, text: bytes) -> None:
        found = msgspec.json.decode(text, type=_Raw)
        known = {_WRITER, *Manifest.__struct_fields__}
        tasks = msgspec.json.decode(found["tasks"], type=list[_Raw])
        names = [msgspec.json.decode(task["name"], type=str) for task in tasks]
        self._file = {key: value for key, value in found.items() if key not in known}
        self._tasks = {
            name: own
            for name, task in zip(names, tasks, strict=True)
            if (own := {key: task[key] for key in task if key not in Task.__struct_fields__})
        }

    def encode(self, manifest: Manifest) -> bytes:
        """Return the JSON of a manifest, these keys among it."""
        text = manifest.encode(f"mcodec {mcodec.__version__}")
        if not self._file and not self._tasks:
            return text
        found: dict[str, Any] = {**self._file, **msgspec.json.decode(text, type=_Raw)}
        tasks = msgspec.json.decode(found["tasks"], type=list[_Raw])
        found["tasks"] = [
            {**self._tasks.get(entry.name, {}), **task}
            for entry, task in zip(manifest.tasks, tasks, strict=True)
        ]
        return msgspec.json.encode(found)

    def forget(self, task: str) -> None:
        """Leave out what is said of a task, which another one replaces."""
        self._tasks.pop(task, None)

    def rename(self, names: Mapping[str, str]) -> None:
        """Give tasks other names: every old one to the new one."""
        self._tasks = {names[name]: own for name, own in self._tasks.items()}
