"""Which stored tensor goes to which key of a module's state_dict."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from mcodec.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Rename = Mapping[str, str] | Callable[[str], str | None]

LISTED: Final = 8  # keys that a message names


class StateDictError(UsageError, RuntimeError):
    """A task and a module do not fit; a RuntimeError as `load_state_dict(strict=True)` raises."""


def keys_of(names: Iterable[str], prefix: str, rename: Rename | None) -> dict[str, str]:
    """Return the tensor for each key of a state_dict.

    Parameters
    ----------
    names
        The tensors of a task.
    prefix
        Only names that begin with it are taken, and it is cut off.
    rename
        What is left of a name to its key: a mapping, which leaves others as they are, or a
        function, which leaves a tensor out by returning None.

    Raises
    ------
    UsageError
        Two tensors get one key.
    """
    found: dict[str, str] = {}
    for name in names:
        if not name.startswith(prefix):
            continue
        key: str | None = name[len(prefix) :]
        assert key is not None
        if callable(rename):
            key = rename(key)
        elif rename is not None:
            key = rename.get(key, key)
        if key is None:
            continue
        if key in found:
            raise UsageError(f"tensors {found[key]!r} and {name!r} would both become {key!r}")
        found[key] = name
    return found


def refuse(model: str, task: str, complaints: Sequence[str]) -> StateDictError:
    """Return the error for a task that a module cannot take."""
    return StateDictError(f"task {task!r} does not fit {model}: {'; '.join(complaints)}")


def listed(what: str, keys: Sequence[str]) -> list[str]:
    """Return one complaint that names the first of some keys; none where there is none."""
    if not keys:
        return []
    more = f" and {len(keys) - LISTED:,} more" if len(keys) > LISTED else ""
    return [f"{what}: {', '.join(repr(key) for key in keys[:LISTED])}{more}"]
