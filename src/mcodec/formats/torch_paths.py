"""Dotted paths of what lies in a checkpoint."""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Any, Final

from mcodec.errors import UsageError
from mcodec.formats.torch_skeleton import Sequence
from mcodec.formats.torch_values import Value, load_value

if TYPE_CHECKING:
    from collections.abc import Container

    from mcodec.formats.torch_skeleton import Node

KINDS: Final[dict[Any, str]] = {dict: "dict", OrderedDict: "OrderedDict", Counter: "Counter"}
_LISTED: Final = 12  # keys in a message


def join(name: str, key: Any) -> str:
    """Return the name of an item."""
    text = key if isinstance(key, str) else str(key)
    return f"{name}.{text}" if name else text


def free_name(given: str, taken: Container[str]) -> str:
    """Return a name that nothing has yet: a dot in a key can make two paths alike."""
    base = given.encode("utf-8", "backslashreplace").decode()
    name, count = base, 1
    while name in taken:
        count += 1
        name = f"{base}#{count}"
    return name


def key_text(index: int, nodes: list[Node]) -> str:
    """Return the text of a key that is a node."""
    node = nodes[index]
    if isinstance(node, Value):
        return str(load_value(node))
    if isinstance(node, Sequence):
        return f"({', '.join(key_text(item, nodes) for item in node.items)})"
    return str(node)


def find(root: Any, key: str) -> Any:
    """Return what lies at a dotted path; keys may have dots themselves.

    Where there is no such thing but keys that go on from there (``module.`` of parallel training),
    a dict of these, without what they have in common.

    Raises
    ------
    UsageError
        There is no such thing; the message says what is there.
    """
    left = [(root, key)]
    deepest = (root, key)
    while left:
        value, rest = left.pop()
        if not rest:
            return value
        if len(rest) < len(deepest[1]):
            deepest = (value, rest)
        found = [
            (item, rest[len(text) + 1 :])
            for text, item in _items(value)
            if rest == text or (text and rest.startswith(f"{text}."))
        ]
        left.extend(reversed(found))
    value, rest = deepest
    below = [(t[len(rest) + 1 :], item) for t, item in _items(value) if t.startswith(f"{rest}.")]
    if below and type(value) in KINDS:
        return OrderedDict(below) if type(value) is OrderedDict else dict(below)
    there = [text[:40] for text, _ in _items(value)]
    shown = ", ".join(map(repr, there[:_LISTED])) + (", ..." if len(there) > _LISTED else "")
    place = key[: len(key) - len(rest)].rstrip(".")
    where = f"the checkpoint's {place!r}" if place else "the checkpoint"
    raise UsageError(f"there is no {rest!r} in {where}; it has {shown or 'no items'}")


def _items(value: Any) -> list[tuple[str, Any]]:
    if type(value) in KINDS:
        return [(join("", key), item) for key, item in dict.items(value)]
    if type(value) in (list, tuple):
        return [(str(index), item) for index, item in enumerate(value)]
    return []
