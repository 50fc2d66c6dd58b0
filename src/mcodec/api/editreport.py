"""What a change of a file's tasks did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcodec.api.choices import ChoiceRow
    from mcodec.api.tasklist import TaskRow


@dataclass(frozen=True, slots=True)
class EditReport:
    """What `add`, `rm`, `replace` or `rename` did.

    Attributes
    ----------
    path
        The file that was written.
    file_bytes, bytes_before
        Its bytes, and those of the file that was read.
    layout
        Of both.
    added, removed, renamed
        Names of tasks; a task that was replaced is in the first two.
    hidden_bytes
        Stored bytes of tasks that were taken out which stay, because others stand on them.
    aliases
        Tensors of the new task that are stored as another one.
    choices
        What was chosen for the tensors of the new task, as in `PackReport`.
    tasks
        All tasks of the file that was written.
    warnings
        What is to be said.
    """

    path: str
    file_bytes: int
    bytes_before: int
    layout: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    renamed: Mapping[str, str]
    hidden_bytes: int
    aliases: int
    choices: tuple[ChoiceRow, ...]
    tasks: tuple[TaskRow, ...]
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the keys that ``--json`` promises, but for the choices."""
        return {
            "file": self.path,
            "file_bytes": self.file_bytes,
            "bytes_before": self.bytes_before,
            "layout": self.layout,
            "added": list(self.added),
            "removed": list(self.removed),
            "renamed": dict(self.renamed),
            "hidden_bytes": self.hidden_bytes,
            "aliases": self.aliases,
            "tasks": [row.to_json() for row in self.tasks],
            "warnings": list(self.warnings),
        }
