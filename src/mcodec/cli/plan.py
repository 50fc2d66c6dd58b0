"""`mcodec plan`."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any, Final

import click

from mcodec.cli import options, render, streams
from mcodec.errors import UsageError

if TYPE_CHECKING:
    from mcodec.api.plan import PlanReport

# A codec and what it carries: `delta(values=bfp(…))` is told as `delta(values=bfp)`.
_KIND: Final = re.compile(r"(\w+)(?:\((values=\w+))?")


@click.command("plan")
@click.argument("sources", nargs=-1, required=True, metavar="[NAME=]IN…", type=options.PATH)
@click.option("--target-size", type=options.Size(), help="Most bytes of the file: 40M, 40Mi.")
@click.option("--max-error", metavar="E[,…]", help="Largest |error| of any weight.")
@click.option("--min-sqnr", metavar="DB[,…]", help="Least signal over noise of a task's weights.")
@click.option(
    "--max-drop", metavar="X[,…]", help="Most that --evaluate's number may fall, in its unit."
)
@options.evaluate_option
@options.as_file_option
@click.option(
    "-o", "--output", metavar="PLAN", type=options.PATH, help="The plan file to make, a TOML."
)
@options.include_option
@options.exclude_option
@options.keys_option
@options.sandbox_option
@options.jobs_option
@options.json_option
@options.quiet_option
def command(
    sources: tuple[str, ...],
    target_size: int | None,
    max_error: str | None,
    min_sqnr: str | None,
    max_drop: str | None,
    evaluate: str | None,
    as_file: bool,
    output: str | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    keys: tuple[str, ...],
    sandbox: bool,
    jobs: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Find what each tensor should get, for a size or an accuracy.

    Nothing is packed: `mcodec pack … --plan PLAN` follows the plan to the byte. Give one goal; its
    number holds for every task, or there is one a task: 45,40 or A=45,B=40.

    \b
    mcodec plan a.h5 b.h5 --target-size 40M -o plan.toml
    mcodec plan a.h5 --max-drop 0.5 --evaluate score.py:accuracy -o plan.toml
    mcodec pack a.h5 --plan plan.toml -o a.mc
    """  # noqa: D301 (click reads the control character)
    from mcodec.api.plan import plan

    named = options.split_named(sources)
    status = render.status("planning", shown=not (quiet or as_json))
    with streams.stdout_kept(), status as say:
        report = plan(
            named,
            output,
            target_size=target_size,
            max_error=_numbers("max-error", max_error),
            min_sqnr=_numbers("min-sqnr", min_sqnr),
            max_drop=_numbers("max-drop", max_drop),
            evaluate=evaluate,
            as_file=as_file,
            include=include,
            exclude=exclude,
            key=options.parse_keys(keys),
            sandbox=sandbox,
            jobs=jobs,
            say=say,
        )
    for warning in report.warnings:
        render.warn(warning)
    if as_json:
        render.emit_json(_to_json(report))
    elif output is None:
        click.echo(report.text, nl=False)
    elif not quiet:
        click.echo(_table(report))


def _numbers(flag: str, text: str | None) -> float | list[float] | dict[str, float] | None:
    """Parse ``45``, ``45,40`` or ``A=45,B=40``."""
    if text is None:
        return None
    with contextlib.suppress(ValueError):
        found = options.by_task(text, float)
        if not isinstance(found, dict) or len(found) == len(text.split(",")):
            return found
    raise UsageError(f"--{flag} {text!r} is not of the form 45, or 45,40, or A=45,B=40")


def _to_json(report: PlanReport) -> dict[str, Any]:
    import msgspec

    return {
        "plan": report.path,
        "source_bytes": report.source_bytes,
        **msgspec.to_builtins(report.head),
        "tensors": [msgspec.to_builtins(rule) for rules in report.rules.values() for rule in rules],
        "warnings": list(report.warnings),
    }


def _table(report: PlanReport) -> str:
    """Say what each task gets and keeps, by codec, and what the file will take."""
    head = report.head
    scored = any(task.metric is not None for task in head.task)
    header = ["task", "stored", "bits/weight", "SQNR", "largest error"]
    header += ["metric", "as it came", "as planned"] if scored else []
    rows = []
    for task in head.task:
        elements = report.elements[task.name]
        cells = [
            task.name,
            render.size(task.bytes),
            f"{8 * task.bytes / elements:.2f}" if elements else "-",
            "exact" if task.sqnr_db is None else f"{task.sqnr_db:.2f} dB",
            "-" if task.max_abs_error is None else f"{task.max_abs_error:.4g}",
        ]
        if scored and task.metric is not None:
            cells += [task.metric, f"{task.baseline:.6g}", f"{task.score:.6g}"]
        elif scored:
            cells += ["-"] * 3
        rows.append(cells)
    share = f", {head.file_bytes / report.source_bytes:.1%} of the arrays"
    where = render.printable(report.path or "")
    return "\n".join(
        [
            render.table(header, rows),
            _codecs(report),
            f"{where}: {head.goal}; packed, the file takes {render.size(head.file_bytes)}"
            f" ({head.file_bytes:,} bytes){share if report.source_bytes else ''}",
        ]
    )


def _codecs(report: PlanReport) -> str:
    """Say how many tensors of each task get which kind of codec."""
    rows = []
    for task, rules in report.rules.items():
        counts: dict[str, list[int]] = {}
        for rule in rules:
            found = _KIND.match(rule.codec)
            kind = "" if found is None else found[1] + (f"({found[2]})" if found[2] else "")
            row = counts.setdefault(kind, [0, 0])
            row[0] += 1
            row[1] += rule.bytes or 0
        rows += [
            [task, kind, f"{row[0]:,}", render.size(row[1])] for kind, row in sorted(counts.items())
        ]
    return render.table(["task", "codec", "tensors", "stored"], rows, left=2)
