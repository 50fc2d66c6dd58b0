"""container.md 6, rules 7 to 12: what the manifest says, item by item."""

from __future__ import annotations

import math
import re
import sys
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from reference.basics import (
    MAX_DIMENSIONS,
    MAX_ELEMENTS,
    MAX_NAME,
    MAX_TASKS,
    MAX_TENSORS,
    need,
)
from reference.runs import Run, itemsize

if TYPE_CHECKING:
    from reference.codecs import Codec


def check_counts(m: dict[str, Any]) -> None:
    tensors = sum(len(t["tensors"]) for t in m["tasks"])
    members = sum(len(r[2]) for r in m["runs"])
    sound = max(tensors, members) <= MAX_TENSORS
    sound = sound and max(len(m["tasks"]), len(m["codecs"])) <= MAX_TASKS
    need(sound, "limit_exceeded", "number of codecs, tasks, tensors or members")


def check_errors(members: int, source: str | None, errors: list[Any] | None) -> bool:
    if source is None or errors is None:
        return source is None and errors is None
    numbers = [x for e in errors if e is not None for x in e]
    return len(errors) == members and all(0 <= x <= sys.float_info.max for x in numbers)


def read_run(item: list[Any], codecs: list[Codec], configs: list[dict[str, Any]]) -> Run:
    index, dtype, shapes, digest, source, errors = item[:6]
    need(0 <= index < len(codecs), "manifest_reference", f"codec {index}")
    size = itemsize(dtype)
    for shape in shapes:
        sound = len(shape) <= MAX_DIMENSIONS and all(d < MAX_ELEMENTS for d in shape)
        sound = sound and math.prod(d for d in shape if d) < MAX_ELEMENTS
        need(sound, "limit_exceeded", "dimensions of a member")
    need(shapes, "manifest_invalid", "a run of no members")
    run = Run(codecs[index], configs[index]["id"], dtype, size, shapes, digest)
    need(run.count < MAX_ELEMENTS, "limit_exceeded", "elements of a run")
    hexes = [digest] if source is None else [digest, source]
    sound = all(re.fullmatch("[0-9a-f]{64}", text) for text in hexes)
    sound = sound and check_errors(len(shapes), source, errors)
    need(sound, "manifest_invalid", "digests or errors of a run")
    run.codec.check(run)
    return run


def check_bases(items: list[list[Any]], runs: list[Run]) -> None:
    """Check what runs stand on, and note it."""
    for item, run in zip(items, runs, strict=True):
        dtypes = run.codec.roles(run.dtype)
        pin, roles = item[6] if len(item) == 7 else ("", [])
        sound = (len(item) == 7) == bool(dtypes) and len(roles) == len(dtypes)
        sound = sound and all(len(role) == len(run.shapes) for role in roles)
        sound = sound and (not dtypes or re.fullmatch("[0-9a-f]{64}", pin) is not None)
        need(sound, "manifest_invalid", "bases against the codec's roles and the members")
        for dtype, role in zip(dtypes, roles, strict=True):
            for (base, member), shape in zip(role, run.shapes, strict=True):
                there = 0 <= base < len(runs) and 0 <= member < len(runs[base].shapes)
                need(there, "manifest_reference", f"base: run {base}, member {member}")
                same = runs[base].dtype == dtype and runs[base].shapes[member] == shape
                need(same, "manifest_reference", "a base of another dtype or shape")
                need(len(items[base]) == 6, "manifest_reference", "a base that stands on another")
        digests = "".join(runs[base].digest for role in roles for base, _ in role)
        pinned = not dtypes or pin == blake3(digests.encode()).hexdigest()
        need(pinned, "manifest_reference", "the pin of the bases")
        run.roles = [[(base, member) for base, member in role] for role in roles]


def check_name(name: str, seen: set[str]) -> None:
    need(len(name.encode("utf-8")) <= MAX_NAME, "limit_exceeded", "length of a name")
    need(name not in seen, "manifest_invalid", f"the name {name!r} twice")
    seen.add(name)


def check_ties(ties: list[list[int]], tensors: list[list[Any]]) -> None:
    laters = [later for later, _ in ties]
    for later, earlier in ties:
        sound = 0 <= earlier < later < len(tensors) and earlier not in laters
        sound = sound and laters.count(later) == 1 and tensors[earlier][1:] == tensors[later][1:]
        need(sound, "manifest_reference", f"tensors {later} and {earlier} as one array")


def check_tasks(tasks: list[dict[str, Any]], runs: list[Run]) -> None:
    names: set[str] = set()
    for task in tasks:
        need(task["name"], "manifest_invalid", "a task with an empty name")
        check_name(task["name"], names)
        tensors: set[str] = set()
        for name, run, member in task["tensors"]:
            check_name(name, tensors)
            there = 0 <= run < len(runs) and 0 <= member < len(runs[run].shapes)
            need(there, "manifest_reference", f"run {run}, member {member}")
        check_ties(task.get("ties", []), task["tensors"])
        if "skeleton" in task:
            there = 0 <= task["skeleton"] < len(runs)
            blob = runs[task["skeleton"]] if there else None
            sound = blob and blob.dtype == "uint8" and [len(s) for s in blob.shapes] == [1]
            need(sound, "manifest_reference", f"skeleton {task['skeleton']}")
    named = {run for task in tasks for _, run, _ in task["tensors"]}
    named |= {task["skeleton"] for task in tasks if "skeleton" in task}
    for index, run in enumerate(runs):
        need(index in named or not run.roles, "manifest_reference", f"run {index} is nobody's")


def check_pairs(pairs: list[list[int]], runs: list[Run]) -> None:
    seen: set[int] = set()
    for pair in pairs:
        for index in pair:
            sound = 0 <= index < len(runs) and index not in seen
            need(sound, "manifest_reference", f"pair of {index}")
            seen.add(index)
        kinds = [(runs[i].dtype, runs[i].shapes, runs[i].codec_id) for i in pair]
        need(all(k == kinds[0] for k in kinds), "manifest_reference", "a pair of unequal runs")


def below(run: Run, runs: list[Run]) -> int:
    """The bytes of the blocks that a run stands on."""
    size = 0
    for role in run.roles:
        last = (-1, -1)  # the run and the block that the last place with elements ended in
        for index, member in role:
            base = runs[index]
            begin, count = base.starts[member], math.prod(base.shapes[member])
            blocks = range(begin // base.block, -(-(begin + count) // base.block) if count else 0)
            size += sum(base.extent(b)[1] for b in blocks if (index, b) != last) * base.itemsize
            last = (index, blocks[-1]) if blocks else last
    return size


def check_budget(tasks: list[dict[str, Any]], runs: list[Run], budget: int) -> None:
    for task in tasks:
        named = [(r, m) for _, r, m in task["tensors"]]
        named += [(task["skeleton"], 0)] if "skeleton" in task else []
        size = sum(runs[r].itemsize * math.prod(runs[r].shapes[m]) for r, m in named)
        size += sum(below(runs[r], runs) for r in {r for r, _ in named})
        need(size <= budget, "decoded_too_large", f"task {task['name']!r} decodes to {size} bytes")
