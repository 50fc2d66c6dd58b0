"""The index of sharded Keras weights: which groups lie in which files."""

from __future__ import annotations

import json
import math
from typing import Any, Final, NoReturn

from mcodec.errors import FormatError, one_line
from mcodec.formats.hdf5_guards import invalid, over_limit
from mcodec.formats.keras_names import check_part
from mcodec.limits import MAX_JSON_DEPTH, MAX_KERAS_INDEX, MAX_KERAS_SHARDS, MAX_NAME_BYTES

SUFFIX: Final = ".json"
_MAX_DIGITS: Final = 32
_SHOWN: Final = 80  # characters of a name in a message


def first_shard(index: str) -> str:
    """Return the name of the shard that Keras opens before it looks into the index.

    Parameters
    ----------
    index : str
        The name of the index.
    """
    return index.removesuffix(SUFFIX).replace(".weights", "") + "_00000.weights.h5"


def shard_names(data: bytes, name: str) -> list[str]:
    """Read an index, and return the names of its shards, each once and in order.

    Parameters
    ----------
    data : bytes
        The JSON.
    name : str
        The name of the index, from which that of the first shard follows.

    Raises
    ------
    FormatError
        ``source_invalid`` if it is no such index, ``source_refused`` for a shard that is not in the
        same folder, ``limit_exceeded`` for more than there may be of anything.
    """
    check_part(name, name)
    if not name.endswith(SUFFIX):
        raise invalid(f"the index {name[:_SHOWN]!r} is not called so: it has to end in {SUFFIX}")
    names = {first_shard(name): None}
    for path, value in _weight_map(_parse(data)).items():
        if not path.startswith("/") or "\0" in path or len(path) > MAX_NAME_BYTES:
            raise invalid(f"the index has {path[:_SHOWN]!r}, which is no path of a group")
        for shard in value if isinstance(value, list) and value else [value]:
            if not isinstance(shard, str):
                raise invalid(f"the index has no names of files for {path[:_SHOWN]!r}")
            names[shard] = None
        if len(names) > MAX_KERAS_SHARDS:
            raise over_limit(f"the index names more than {MAX_KERAS_SHARDS} shards")
    for shard in names:
        check_part(shard, shard)
    if name in names:
        raise invalid(f"the index names itself as a shard: {name[:_SHOWN]!r}")
    return list(names)


def _weight_map(index: Any) -> dict[str, Any]:
    if not isinstance(index, dict) or not isinstance(index.get("metadata", {}), dict):
        raise invalid("the index is no JSON object with an object 'metadata'")
    found = index.get("weight_map")
    if not isinstance(found, dict):
        raise invalid("the index has no object 'weight_map'")
    return found


def _parse(data: bytes) -> Any:
    if len(data) > MAX_KERAS_INDEX:
        raise over_limit(f"the index has {len(data)} bytes, over {MAX_KERAS_INDEX}")
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_int=_number,
            parse_float=_number,
            parse_constant=_no_number,
        )
    except FormatError:
        raise
    except (ValueError, RecursionError) as error:
        raise invalid(f"the index is no JSON ({one_line(error)})") from error
    level = [value]
    for _ in range(MAX_JSON_DEPTH):
        level = [inner for one in level for inner in _inside(one)]
        if not level:
            return value
    raise over_limit(f"the index is nested deeper than {MAX_JSON_DEPTH}")


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise invalid("the index has a key twice")
    return result


def _number(text: str) -> float:
    if len(text) > _MAX_DIGITS or not math.isfinite(float(text)):
        raise invalid(f"the index has the number {text[:_MAX_DIGITS]}, which is out of range")
    return float(text)


def _no_number(text: str) -> NoReturn:
    raise invalid(f"the index has {text}, which is no number")
