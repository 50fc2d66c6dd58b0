"""Two trained networks in one file: what it costs in bytes and in accuracy.

    python examples/demo.py              (what `make demo` runs)
    python examples/demo.py --bits 8,6

Runs the `mcodec` command and prints each line that it runs. Needs no Keras: network.py is the
network in NumPy.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import digits
import h5py
import network
import numpy as np
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from numpy.typing import NDArray

HERE: Final = Path(__file__).resolve().parent
MODELS: Final = {task: Path(f"digits_{task.lower()}.h5") for task in digits.CLASSES}
AGAINST: Final = [word for task, path in MODELS.items() for word in ("--against", f"{task}={path}")]
FEW_BITS: Final = (8, 6, 4, 3, 2)

console = Console(highlight=False)


@dataclass(frozen=True)
class Packed:
    """One `.mc` file after it was packed and taken apart again."""

    listing: dict[str, Any]  # what `mcodec ls --json` said
    unpacked: dict[str, Path]

    @property
    def file_bytes(self) -> int:
        """The size of the file, everything counted."""
        return int(self.listing["file_bytes"])

    def stored(self, task: str) -> dict[str, Any]:
        """Return the listing's entry of one task."""
        return next(entry for entry in self.listing["tasks"] if entry["name"] == task)


def mcodec(*words: str | Path, show: bool = True) -> str:
    """Run one `mcodec` command, echo it, and return what it printed.

    Raises
    ------
    click.ClickException
        The command is not installed beside this Python, or it failed; its own line is passed on.
    """
    command = Path(sys.executable).with_name("mcodec")
    if not command.exists():
        raise click.ClickException(f"{command} is missing: run `pip install .` with this Python")
    arguments = [str(word) for word in words]
    if show:
        console.print(f"$ mcodec {shlex.join(arguments)}", style="bold cyan", soft_wrap=True)
    done = subprocess.run([command, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        detail = done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}"
        raise click.ClickException(f"mcodec {arguments[0]}: {detail}")
    if show and done.stdout:
        console.out(done.stdout.rstrip())
    return done.stdout


def round_trip(name: str, bits: str | None, *, show: bool = True) -> Packed:
    """Pack both models, prove the file, unpack both; `bits` None is lossless."""
    fused = Path(f"{name}.mc")
    budget = ["--bits", bits] if bits else []
    mcodec("pack", *MODELS.values(), "-o", fused, *budget, show=show)
    if show:
        mcodec("ls", fused)
    mcodec("verify", fused, "--deep", *AGAINST, show=show)
    unpacked = {task: Path(f"{name}_{task.lower()}.h5") for task in MODELS}
    for task, path in unpacked.items():
        mcodec("unpack", fused, "--task", task, "-o", path, show=show)
    return Packed(json.loads(mcodec("ls", fused, "--json", show=False)), unpacked)


def contents(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return every array of an HDF5 file (dtype, shape, bytes), and the attributes, by name."""
    arrays, attributes = {}, {}

    def note(name: str, item: h5py.Dataset | h5py.Group) -> None:
        attributes[name] = {key: np.asarray(item.attrs[key]).tolist() for key in item.attrs}
        if isinstance(item, h5py.Dataset):
            arrays[name] = (item.dtype.str, item.shape, np.asarray(item[()]).tobytes())

    with h5py.File(path, "r") as file:
        note("", file)
        file.visititems(note)
    return arrays, attributes


def check_equal(task: str, path: Path) -> None:
    """Say that `path` holds what the model of `task` holds, bit for bit.

    Raises
    ------
    click.ClickException
        Some array or attribute differs.
    """
    arrays, attributes = contents(path)
    if (arrays, attributes) != contents(MODELS[task]):
        raise click.ClickException(f"{path} differs from {MODELS[task]}")
    console.print(f"{task}: all {len(arrays)} arrays and every attribute equal, bit for bit")


class Exam:
    """The held-out digits, and what each model made of them."""

    def __init__(self) -> None:
        self._images, answers = digits.heldout()
        self._answers: dict[str, NDArray[np.uint8]] = {
            task: digits.labels(task, answers) for task in MODELS
        }

    def __len__(self) -> int:
        return len(self._images)

    def mark(self, task: str, path: Path) -> float:
        """Return the accuracy of the network in `path` at `task`."""
        return network.accuracy(network.load(path), self._images, self._answers[task])


def tasks_table(exam: Exam, before: dict[str, float], packed: Packed, bits: str) -> Table:
    """Return the main result: each task before and after, with its bytes."""
    table = Table(title=f"--bits {bits}, on {len(exam)} held-out digits")
    for heading in ("task", "asks"):
        table.add_column(heading)
    for heading in ("before", "after", ".h5 bytes", "in file", "bits a weight"):
        table.add_column(heading, justify="right")
    for task, path in MODELS.items():
        entry, after = packed.stored(task), exam.mark(task, packed.unpacked[task])
        table.add_row(
            task,
            digits.QUESTION[task],
            f"{before[task]:.2%}",
            f"{after:.2%}",
            f"{path.stat().st_size:,}",
            f"{entry['stored_bytes']:,}",
            f"{entry['bits_per_weight']:.2f}",
        )
    total = sum(path.stat().st_size for path in MODELS.values())
    table.add_section()
    table.add_row("both", "one file", "", "", f"{total:,}", f"{packed.file_bytes:,}", "")
    return table


def budgets_table(exam: Exam, rows: list[tuple[str, Packed]]) -> Table:
    """Return accuracy and size over several budgets."""
    table = Table(title="the same two networks, other budgets")
    table.add_column("bits")
    for heading in ("accuracy A", "accuracy B", "file bytes"):
        table.add_column(heading, justify="right")
    for name, packed in rows:
        marks = [f"{exam.mark(task, path):.2%}" for task, path in packed.unpacked.items()]
        table.add_row(name, *marks, f"{packed.file_bytes:,}")
    return table


@click.command()
@click.option("--bits", default="12,11", show_default=True, help="As `mcodec pack --bits`.")
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), help="Keep files here.")
def main(bits: str, keep: Path | None) -> None:
    """Pack two digit classifiers into one file, take both out again, and compare."""
    exam = Exam()
    with tempfile.TemporaryDirectory(prefix="mcodec-demo-") as scratch:
        folder = keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for path in MODELS.values():
            shutil.copy(HERE / path, folder)
        os.chdir(folder)  # so that the commands read as one would type them
        before = {task: exam.mark(task, path) for task, path in MODELS.items()}

        console.rule("Two networks, one file")
        fused = round_trip("fused", bits)
        console.print(tasks_table(exam, before, fused, bits))

        console.rule("Without --bits: every bit comes back")
        exact = round_trip("lossless", None)
        for task, path in exact.unpacked.items():
            check_equal(task, path)

        console.rule("Fewer bits: smaller, until it shows")
        rows = [("lossless", exact), (bits, fused)]
        rows += [(str(few), round_trip(f"bits_{few}", str(few), show=False)) for few in FEW_BITS]
        console.print(budgets_table(exam, rows))


if __name__ == "__main__":
    main()
