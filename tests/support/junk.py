"""Changes a JSON value by chance, as a hostile manifest might be."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Sequence

JUNK: st.SearchStrategy[Any] = st.sampled_from(
    (None, True, -1, 0, 1, 2**31, 2**47, 2**48, 2**64, 10**30, 1.5, "", "x", "bfp", [], {}, [[]])
)


def mutate(value: Any, data: st.DataObject, more: Sequence[Any] = ()) -> None:
    """Walk down a JSON value by chance, and change, drop or double something there.

    Parameters
    ----------
    more
        What may be put there besides `JUNK`.
    """
    junk = JUNK | st.sampled_from(more) if more else JUNK
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        inner = value[key]
        if isinstance(inner, dict | list) and inner and data.draw(st.integers(0, 5)):
            value = inner
            continue
        kind = data.draw(st.sampled_from(("junk", "drop", "twice", "near")))
        if kind == "drop":
            del value[key]
        elif kind == "twice" and isinstance(value, list):
            value.insert(key, copy.deepcopy(inner))
        elif kind == "near" and type(inner) is int:
            value[key] = inner + data.draw(st.sampled_from((-1, 1, 8, 2**18)))
        else:
            value[key] = copy.deepcopy(data.draw(junk))  # it may be changed again
        return
