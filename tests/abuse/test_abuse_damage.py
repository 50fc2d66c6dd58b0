"""A packed file that is cut off at any byte, has one byte changed anywhere, or claims too much."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import h5py
import numpy as np
import pytest

import mcodec
from mcodec.errors import FormatError
from support.command import call
from support.forge import Forged

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from abuse.conftest import Models

READERS: Final = {
    "ls": (),
    "info": (),
    "verify": ("--deep",),
    "unpack": ("--task", "A", "-o", "out.h5"),
    "relayout": ("-o", "out.mc", "--layout", "task"),
}


@pytest.fixture(params=["lossless", "fused"])
def packed(request: pytest.FixtureRequest, models: Models) -> bytes:
    """The bytes of a small file."""
    path: Path = getattr(models, request.param)
    return path.read_bytes()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder that holds an older output."""
    monkeypatch.chdir(tmp_path)
    for name in ("out.h5", "out.mc"):
        (tmp_path / name).write_bytes(b"old")
    return tmp_path


def assert_untouched(here: Path) -> None:
    """Check that the older outputs are as they were, and nothing lies beside them."""
    assert sorted(os.listdir(here)) == ["out.h5", "out.mc", "x.mc"]
    assert (here / "out.h5").read_bytes() == (here / "out.mc").read_bytes() == b"old"


def test_cut_off_at_every_byte(packed: bytes, here: Path) -> None:
    with open(here / "x.mc", "wb+") as file:
        file.write(packed)
        for length in reversed(range(len(packed))):
            file.truncate(length)
            call("ls", "x.mc").assert_fails(3, "x.mc: ")
    for length in range(0, len(packed), 197):
        (here / "x.mc").write_bytes(packed[:length])
        for verb, options in READERS.items():
            call(verb, "x.mc", *options).assert_fails(3, "x.mc: ")
    assert_untouched(here)


def test_bytes_at_the_end_are_refused(packed: bytes, here: Path) -> None:
    (here / "x.mc").write_bytes(packed + b"\0")
    for verb, options in READERS.items():
        call(verb, "x.mc", *options).assert_fails(3, "1 bytes follow")
    assert_untouched(here)


def test_one_byte_changed_anywhere_is_found_by_verify(packed: bytes, here: Path) -> None:
    for place in range(len(packed)):
        damaged = bytearray(packed)
        damaged[place] ^= 1 << place % 8
        (here / "x.mc").write_bytes(damaged)
        call("verify", "x.mc").assert_fails(3, "x.mc: ")


def test_one_byte_changed_anywhere_gives_no_wrong_weight(packed: bytes, here: Path) -> None:
    """What a reader does not notice is padding, which no weight is made of."""
    sound = _read(here, packed)
    silent = []
    for place in range(len(packed)):
        damaged = bytearray(packed)
        damaged[place] ^= 0x10
        try:
            found = _read(here, bytes(damaged))
        except FormatError:
            continue
        assert found == sound, place
        silent.append(place)
    used = _claimed(packed)
    assert all(packed[place] == 0 and place not in used for place in silent)
    assert len(silent) == len(packed) - len(used)


def _read(here: Path, data: bytes) -> dict[str, bytes]:
    (here / "y.mc").write_bytes(data)
    with mcodec.open(here / "y.mc", jobs=1) as file:
        found = {
            f"{name}:{tensor}": file.task(name)[tensor].tobytes()
            for name in file.tasks
            for tensor in file.task(name)
        }
        for name in file.tasks:
            found[name] = file.task(name).skeleton()
    return found


def _claimed(packed: bytes) -> set[int]:
    """Return the places that the header, the front or a row claims."""
    parts = Forged.of(packed)
    used = set(range(parts.start))  # the front stands behind the header
    for row in parts.rows:
        used.update(range(row["offset"], row["offset"] + row["stored"]))
    return used


def test_one_byte_changed_leaves_no_output_behind(packed: bytes, here: Path) -> None:
    for place in range(0, len(packed), 53):
        damaged = bytearray(packed)
        damaged[place] ^= 0x02
        (here / "x.mc").write_bytes(damaged)
        for verb in ("unpack", "relayout"):
            outcome = call(verb, "x.mc", *READERS[verb])
            if outcome.code:
                outcome.assert_fails(3, "x.mc: ")
                assert_untouched(here)
            for name in ("out.h5", "out.mc"):
                (here / name).write_bytes(b"old")


RUN_FIELDS: Final = ("codec", "dtype", "members")


def _run(index: int, field: str, value: Any) -> Callable[[Forged], None]:
    def change(file: Forged) -> None:
        file.manifest["runs"][index][RUN_FIELDS.index(field)] = value

    return change


def _row(index: int, **fields: Any) -> Callable[[Forged], None]:
    def change(file: Forged) -> None:
        file.rows[index].update(fields)

    return change


def _codec(codec: dict[str, Any]) -> Callable[[Forged], None]:
    def change(file: Forged) -> None:
        file.manifest["codecs"][0] = codec

    return change


def _deep(file: Forged) -> None:
    file.manifest = b"[" * 100_000 + b"]" * 100_000


def _two_of_one_name(file: Forged) -> None:
    file.manifest["tasks"] *= 2


# what a file with sound hashes may claim -> a word of the message
CLAIMS: Final[dict[str, tuple[Callable[[Forged], None], str]]] = {
    "2^47 elements": (_run(0, "members", [[1 << 47]]), "x.mc: "),
    "2^64 elements": (_run(0, "members", [[1 << 32, 1 << 32]]), "2^48"),
    "more decoded than allowed": (_run(0, "members", [[1 << 40]]), "x.mc: "),
    "100 dimensions": (_run(0, "members", [[1] * 100]), "dimensions"),
    "a negative side": (_run(0, "members", [[-1]]), "negative"),
    "an unknown dtype": (_run(0, "dtype", "float1024"), "float1024"),
    "a codec that is not there": (_run(0, "codec", 7), "codec 7"),
    "an unknown codec": (_codec({"id": "nosuch"}), "unknown codec 'nosuch'"),
    "an unknown option": (_codec({"id": "float", "nosuch": 1}), "nosuch"),
    "a codec option out of range": (_codec({"id": "bfp", "bits": 99}), "bits"),
    "a chunk behind the end": (_row(0, offset=1 << 62), "x.mc: "),
    "a chunk of 4 GiB": (_row(0, raw=(1 << 32) - 1), "x.mc: "),
    "an unknown coder": (_row(0, coder=9), "x.mc: "),
    "a manifest of brackets": (_deep, "deep"),
    "two tasks of one name": (_two_of_one_name, "two tasks"),
}


@pytest.mark.parametrize("what", CLAIMS)
def test_claims_behind_sound_hashes(what: str, models: Models, here: Path) -> None:
    change, word = CLAIMS[what]
    file = Forged.of(models.lossless.read_bytes())
    change(file)
    (here / "x.mc").write_bytes(file.build())
    for verb, options in READERS.items():
        call(verb, "x.mc", *options).assert_fails(3, word)
    assert_untouched(here)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"file_length": 1 << 60}, "cut off"),
        ({"file_length": 100}, "follow the end"),
        ({"front_offset": 1 << 60}, "front"),
        ({"manifest_raw": 1 << 31}, "limits"),
        ({"row_count": 1 << 30}, "limits"),
        ({"layout": 9}, "reserves"),
        ({"flags": 1}, "reserves"),
        ({"major": 9}, "version 9"),
    ],
)
def test_claims_of_the_header(
    fields: dict[str, int], word: str, models: Models, here: Path
) -> None:
    (here / "x.mc").write_bytes(Forged.of(models.lossless.read_bytes()).build(**fields))
    for verb, options in READERS.items():
        call(verb, "x.mc", *options).assert_fails(3, word)
    assert_untouched(here)


def test_a_small_file_of_much_nothing_is_refused_until_it_is_trusted(here: Path) -> None:
    mcodec.pack({"A": {"zeros": np.zeros((1 << 28) + 1, np.float32)}}, here / "x.mc")
    for verb in ("ls", "info", "verify", "unpack"):
        call(verb, "x.mc", *READERS[verb]).assert_fails(3, "--max-decoded")
    assert_untouched(here)
    outcome = call("ls", "x.mc", "--max-decoded", "2Gi")
    assert outcome.code == 0


def test_every_invalid_vector_by_every_verb(here: Path, request: pytest.FixtureRequest) -> None:
    vectors = sorted((request.config.rootpath / "spec/vectors/invalid").glob("*.mc"))
    if not vectors:
        pytest.skip("the vectors have not been made")
    for vector in vectors:
        (here / "x.mc").write_bytes(vector.read_bytes())
        call("verify", "x.mc", "--deep").assert_fails(3, "x.mc: ")
        for verb, options in READERS.items():
            outcome = call(verb, "x.mc", *options)
            if outcome.code == 0:  # the damage is where this verb does not look
                for name in ("out.h5", "out.mc"):
                    (here / name).write_bytes(b"old")
            else:
                outcome.assert_fails(2 if "no task 'A'" in outcome.err else 3)
            assert_untouched(here)


def test_sources_that_are_cut_off(models: Models, here: Path) -> None:
    for source in (models.a, models.flat):
        data = source.read_bytes()
        for length in range(0, len(data), max(1, len(data) // 300)):
            (here / "x.mc").write_bytes(data[:length])
            call("pack", "x.mc", "-o", "out.mc").assert_fails(3, "x.mc")
    assert_untouched(here)


def test_sources_that_use_what_is_refused(here: Path) -> None:
    with h5py.File(here / "x.mc", "w") as file:
        file["elsewhere"] = h5py.ExternalLink("/etc/passwd", "/")
    call("pack", "x.mc", "-o", "out.mc").assert_fails(3, "x.mc: ", "elsewhere")
    assert_untouched(here)
