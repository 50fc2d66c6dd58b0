"""What `pack --report` says of two tasks: theory beside file (paper 001, table 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcodec.cli import render

if TYPE_CHECKING:
    from mcodec.api.fusionreport import FusionReport, WayRow


def to_json(report: FusionReport) -> dict[str, Any]:
    """Return the keys that `pack --report --json` promises."""
    return {
        "tasks": list(report.tasks),
        "tensors": report.tensors,
        "weights": report.weights,
        "bits": None if report.bits is None else list(report.bits),
        "rows": [
            {
                "way": row.way,
                "pair_bits": row.bits,
                "theory_bytes": row.theory_bytes,
                "file_bytes": row.file_bytes,
                "paper_names": list(row.named),
            }
            for row in report.rows
        ],
        "besides": [
            {
                "task": one.task,
                "tensors": one.tensors,
                "parameters": one.parameters,
                "stored_bytes": one.stored_bytes,
            }
            for one in report.besides
        ],
        "rest_bytes": report.rest_bytes,
        "file_bytes": report.file_bytes,
    }


def table(report: FusionReport) -> str:
    """Write the table, and below it what is not among the weights."""
    from mcodec.api.fusion import pair_bits

    bits = "" if report.bits is None else ", {} and {} bits".format(*report.bits)
    weights = f"{report.weights:,} weights of {render.counted(report.tensors, 'pair')} of tensors"
    header = [
        "way (paper 001, table 1)",
        "bits a pair",
        "saved",
        "theory",
        "in this file",
        "named there",
    ]
    whole = pair_bits("separate")
    lines = [
        f"{' and '.join(map(render.elide, report.tasks))}: {weights}{bits}",
        render.table(header, [_cells(row, report.weights, whole) for row in report.rows]),
    ]
    for one in report.besides:
        what = f"{render.counted(one.tensors, 'tensor')}, {one.parameters:,} numbers"
        lines.append(
            f"besides, {render.elide(one.task)}: {what}, {render.size(one.stored_bytes)} "
            "(heads, biases, normalisations)"
        )
    rest = render.size(report.rest_bytes)
    lines.append(f"names, index, attributes and padding: {rest}")
    return "\n".join(lines)


def _cells(row: WayRow, weights: int, whole: int) -> list[str]:
    from mcodec.api.fusion import WAYS

    stored = "-"
    if row.file_bytes is not None:
        real = 8 * row.file_bytes / weights
        stored = f"{render.size(row.file_bytes)}, {real:.2f} bits"
    return [
        WAYS[row.way],
        "-" if row.bits is None else f"{row.bits:.4g}",
        "-" if row.bits is None else f"{1 - row.bits / whole:.1%}",
        "-" if row.theory_bytes is None else render.size(row.theory_bytes),
        stored,
        "{} (table), {} (text)".format(*row.named) if row.named else "-",
    ]
