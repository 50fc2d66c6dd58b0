"""Skeletons come from files that nobody has checked: they may lie, and get errors of ours."""

from __future__ import annotations

import contextlib
import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcodec.errors import McodecError
from mcodec.formats import registry

if TYPE_CHECKING:
    from mcodec.types import TensorSpec

DATA = Path(__file__).resolve().parents[1] / "data"
TORCH = importlib.util.find_spec("torch") is not None
LARGEST = 40_000  # bytes of a skeleton that is quick to write
ODD = st.sampled_from(
    [None, True, 0, -1, 1, 2**31, 2**63, 2**64, 10**30, 1.5, "", "..", "../x", "/x", "a/b", "\0"]
)


def models() -> list[Any]:
    """Return format, tensors and skeleton of each good model of the project's own."""
    found = []
    for entry in json.loads((DATA / "MANIFEST.json").read_text())["entries"]:
        if entry["verdict"] != "accept" or ("torch" in entry["name"] and not TORCH):
            continue
        source = registry.open_source(DATA / entry["name"])
        skeleton = source.skeleton()
        if len(skeleton) < LARGEST:
            values = (source.format, list(source.tensors), skeleton)
            found.append(pytest.param(*values, id=entry["name"]))
        source.close()
    return found


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all that is inside a JSON value."""
    items: Any = value.items() if isinstance(value, dict) else ()
    items = enumerate(value) if isinstance(value, list) else items
    found = []
    for key, inner in items:
        found += [(*path, key), *places(inner, (*path, key))]
    return found


def change(value: Any, data: st.DataObject) -> None:
    """Put something odd at one place of a JSON value, or leave it out, or repeat it."""
    *above, key = data.draw(st.sampled_from(places(value)))
    for step in above:
        value = value[step]
    match data.draw(st.sampled_from(["odd", "out", "again"])):
        case "odd":
            value[key] = data.draw(ODD)
        case "out":
            del value[key]
        case "again" if isinstance(value, list):
            value.insert(key, value[key])


def ask(format_: str, verb: str, skeleton: bytes) -> Any:
    """Ask a format's hook, if it has it; None also where it refuses the skeleton."""
    hook = registry.hook(format_, verb)
    fault = ""
    try:
        return hook(skeleton) if hook else None
    except McodecError as error:
        fault = str(error)
    assert fault.isprintable()
    return None


@pytest.mark.parametrize(("format_", "specs", "skeleton"), models())
@settings(max_examples=25)
@given(data=st.data())
def test_a_skeleton_that_lies(
    tmp_path_factory: pytest.TempPathFactory,
    format_: str,
    specs: list[TensorSpec],
    skeleton: bytes,
    data: st.DataObject,
) -> None:
    folder = tmp_path_factory.mktemp("out")
    changed = json.loads(skeleton)
    for _ in range(data.draw(st.integers(1, 3))):
        if places(changed):
            change(changed, data)
    raw = json.dumps(changed).encode()
    out = folder / "model"
    for verb in ("inner", "facts"):
        ask(format_, verb, raw)
    if ask(format_, "folder", raw):
        out.mkdir()
    with contextlib.suppress(McodecError):
        sink = registry.create_sink(out, format_, specs, raw)
        try:
            for index, spec in enumerate(specs):
                sink.write(index, 0, memoryview(bytes(spec.nbytes)))
            sink.close()
        finally:
            sink.discard()
    assert {path.name for path in folder.iterdir()} <= {"model"}
