"""`mcodec diff`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from mcodec.cli import options, render
from mcodec.errors import UsageError

if TYPE_CHECKING:
    from mcodec.api.diff import AttributeDifference, DiffReport, TensorDifference
    from mcodec.types import TensorSpec

_T = TypeVar("_T")


@click.command("diff")
@click.argument("left", metavar="X", type=options.PATH)
@click.argument("right", metavar="Y", type=options.PATH)
@click.option(
    "--task",
    "tasks",
    multiple=True,
    metavar="NAME",
    help="The task of an .mc file; given twice: of X, and of Y.",
)
@click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="KEY",
    help="The model's place in a PyTorch checkpoint; given twice: in X, and in Y.",
)
@options.sandbox_option
@options.jobs_option
@options.json_option
@options.quiet_option
def command(
    left: str,
    right: str,
    tasks: tuple[str, ...],
    keys: tuple[str, ...],
    sandbox: bool,
    jobs: int | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Say what differs between two models, tensor by tensor.

    X and Y are model files of any format, folders of shards, or .mc files. Exit code 1 if anything
    differs.
    """
    from mcodec.api.diff import diff
    from mcodec.formats.registry import format_of, is_container

    # A task, or a key, that is given once is meant for the side, or sides, that have such.
    boxes = (is_container(left), is_container(right))
    of_task = _sides("--task", tasks, boxes, None)
    has_keys = [
        bool(keys) and not box and format_of(path) == "torch"
        for box, path in zip(boxes, (left, right), strict=True)
    ]
    of_key = _sides("--key", keys, (has_keys[0], has_keys[1]), "")
    with render.progress_bar("comparing", shown=not (quiet or as_json)) as progress:
        report = diff(
            left, right, tasks=of_task, keys=of_key, sandbox=sandbox, jobs=jobs, progress=progress
        )
    if as_json:
        render.emit_json(_to_json(report))
    else:
        for note in report.notes:
            if not quiet:
                render.warn(note)
        for one in report.tensors:
            click.echo(_tensor_line(one))
        for attribute in report.attributes:
            click.echo(_attribute_line(attribute))
        if not quiet:
            click.echo(_summary(report))
    return 0 if report.same else 1


def _sides(
    option: str, given: tuple[str, ...], takes: tuple[bool, bool], default: _T
) -> tuple[str | _T, str | _T]:
    """Spread an option over both sides."""
    match given:
        case ():
            return default, default
        case (one,) if any(takes):
            return (one if takes[0] else default), (one if takes[1] else default)
        case (one, two):
            return one, two
        case (_,):
            raise UsageError(f"{option} is of no use here: neither X nor Y has such")
    raise UsageError(f"{option} is given at most twice: for X, and for Y")


def _tensor_line(one: TensorDifference) -> str:
    name = render.elide(one.name)
    if one.right is None or one.left is None:
        side, spec = ("X", one.left) if one.right is None else ("Y", one.right)
        return f"{name}: only in {side}" + (f", {spec.kind}" if spec else "")
    parts = []
    if one.left != one.right:
        parts.append(f"{one.left.kind} in X, {one.right.kind} in Y")
    if one.left.shape == one.right.shape:
        parts.append(_values_text(one, one.left.size))
    return f"{name}: {'; '.join(parts)}"


def _values_text(one: TensorDifference, size: int) -> str:
    if not one.unequal:
        return "values are equal"
    text = f"{one.unequal:,} of {render.counted(size, 'value')} differ"
    if one.max_abs is not None:
        text += f", by {one.max_abs:.6g} at most"
    if one.sqnr_db is not None:
        text += f", SQNR {one.sqnr_db:.2f} dB"
    return text


def _attribute_line(one: AttributeDifference) -> str:
    name = render.elide(one.name)
    if one.left is None or one.right is None:
        side, value = ("X", one.left) if one.right is None else ("Y", one.right)
        return f"{name}: only in {side}, {render.elide(value or '')}"
    return f"{name}: {render.elide(one.left)} in X, {render.elide(one.right)} in Y"


def _summary(report: DiffReport) -> str:
    if report.same:
        besides = f"; {report.attributes_equal:,} attributes and the like"
        tensors = render.counted(report.equal, "tensor")
        return f"equal: {tensors}{besides if report.attributes_equal else ''}"
    parts = [f"{report.equal:,} tensors equal, {len(report.tensors):,} not"]
    if report.attributes:
        parts.append(f"{len(report.attributes):,} attributes or the like differ")
    return "; ".join(parts)


def _to_json(report: DiffReport) -> dict[str, Any]:
    return {
        "left": report.left,
        "right": report.right,
        "same": report.same,
        "tensors_equal": report.equal,
        "tensors": [
            {
                "name": one.name,
                "left": _spec_json(one.left),
                "right": _spec_json(one.right),
                "unequal": one.unequal,
                "max_abs": one.max_abs,
                "sqnr_db": one.sqnr_db,
            }
            for one in report.tensors
        ],
        "attributes_equal": report.attributes_equal,
        "attributes": [
            {"name": one.name, "left": one.left, "right": one.right} for one in report.attributes
        ],
        "notes": list(report.notes),
    }


def _spec_json(spec: TensorSpec | None) -> dict[str, Any] | None:
    return None if spec is None else {"dtype": spec.dtype, "shape": list(spec.shape)}
