"""`mcodec info`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mcodec.cli import options, render
from mcodec.cli.partial import hint, partial_option

if TYPE_CHECKING:
    from mcodec.api.handle import File
    from mcodec.api.listing import TensorRow
    from mcodec.container.manifest import Task
    from mcodec.container.reader import ContainerReader


@click.command("info")
@options.file_argument
@click.option(
    "--task", metavar="NAME", shell_complete=options.complete_task, help="Only this task."
)
@partial_option
@options.max_decoded_option
@options.json_option
@options.quiet_option
def command(
    file: str | None,
    task: str | None,
    partial: bool,
    max_decoded: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Show tensors, codecs, sizes and measured errors; with --json also streams.

    SOURCE is the begin of the BLAKE3 digest of a tensor's bytes as they came (--json has all of
    it); "of N": of all N tensors that are stored in one run with it. Of a file that is cut off
    (--partial) sizes and errors are those of the whole one.
    """
    from mcodec.api import precision
    from mcodec.api.handle import open as open_file
    from mcodec.api.listing import list_pairs, list_tensors
    from mcodec.api.tasklist import list_tasks

    path = options.find_file(file)
    with (
        hint(path, partial=partial, max_decoded=max_decoded),
        open_file(path, partial=partial, max_decoded=max_decoded) as handle,
    ):
        reader = handle.reader
        chosen = [handle.entry(task)] if task is not None else list(reader.manifest.tasks)
        listed = {row.name: row.to_json() for row in list_tasks(reader)}
        entries = {entry.name: list_tensors(reader, entry) for entry in chosen}
        planes = {entry.name: _planes(reader, entry) for entry in chosen}
        pairs = list_pairs(reader)
        if as_json:
            tasks = [
                {
                    **listed[entry.name],
                    **_levels(precision.planes_of_weights(reader, precision.runs_of([entry]))),
                    "format": entry.came_from,
                    "metadata": dict(entry.metadata),
                    "entries": [
                        {**row.to_json(), **_levels(own)}
                        for row, own in zip(entries[entry.name], planes[entry.name], strict=True)
                    ],
                }
                for entry in chosen
            ]
            levels = precision.planes_of_weights(reader, precision.runs_of(chosen))
            value: dict[str, Any] = {"file_bytes": reader.size, "layout": reader.layout}
            render.emit_json({**value, "levels": levels, "tasks": tasks, "pairs": pairs})
        elif not quiet:
            for entry in chosen:
                _print_task(handle, entry.name, entries[entry.name], planes[entry.name])
            _print_pairs(pairs)
            if reader.levels is not None:
                click.echo(precision.words(reader, precision.runs_of(chosen)))


def _planes(reader: ContainerReader, entry: Task) -> list[tuple[int, int] | None]:
    """Return the planes of each tensor of a task, as `precision.planes_of`."""
    from mcodec.api import precision

    runs = {run: precision.planes_of(reader, run) for run in precision.runs_of([entry])}
    return [runs[tensor.run] for tensor in entry.tensors]


def _levels(planes: tuple[int, int] | None) -> dict[str, tuple[int, int]]:
    """Return what JSON has of a file that is cut off."""
    return {} if planes is None else {"levels": planes}


def _print_task(
    handle: File, name: str, rows: list[TensorRow], planes: list[tuple[int, int] | None]
) -> None:
    from mcodec.codec.plan import codec_string

    entry = handle.entry(name)
    came = f", from {entry.came_from}" if entry.came_from else ""
    click.echo(f"task {render.elide(name)}: {render.counted(len(rows), 'tensor')}{came}")
    for key, value in entry.metadata.items():
        click.echo(f"  {render.elide(key)}: {render.elide(value)}")
    header = [
        "tensor",
        "dtype",
        "shape",
        "codec",
        "stored",
        "bits/weight",
        "max error",
        "SQNR",
        "source",
    ]
    cut_off = handle.reader.levels is not None
    if cut_off:
        header.insert(4, "planes")
    cells = [
        [
            row.spec.name,
            row.spec.dtype,
            "×".join(map(str, row.spec.shape)) or "scalar",
            " of ".join([codec_string(row.codec), *row.bases]),
            *([render.planes(own)] if cut_off else []),
            render.size(row.stored_bytes),
            f"{8 * row.stored_bytes / row.spec.size:.2f}" if row.spec.size else "-",
            _error(row.max_abs_error),
            "-" if row.sqnr_db is None else f"{row.sqnr_db:.1f} dB",
            _digest(row),
        ]
        for row, own in zip(rows, planes, strict=True)
    ]
    click.echo(render.table(header, cells, left=4))


def _error(value: float | None) -> str:
    if value is None:
        return "not finite"
    return "exact" if value == 0 else f"{value:.3g}"


def _digest(row: TensorRow) -> str:
    """Return what tells one source from another one, and how many tensors it speaks of."""
    text = row.source_digest[:12]
    return text if row.digest_tensors == 1 else f"{text} of {row.digest_tensors}"


def _print_pairs(pairs: list[dict[str, str]]) -> None:
    if pairs:
        click.echo(f"fused: {render.counted(len(pairs), 'group')} of tensors")
        for pair in pairs:
            text = "  ".join(f"{task}:{name}" for task, name in pair.items())
            click.echo(f"  {render.printable(text)}")
