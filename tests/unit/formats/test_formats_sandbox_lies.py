"""The process that reads a file may have been taken over: nothing that it says is believed."""

from __future__ import annotations

import socket
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcodec.errors import FormatError, InputOutputError
from mcodec.formats import sandbox
from mcodec.formats import sandbox_wire as wire
from mcodec.formats.sandbox_answers import check_opened, error_of
from mcodec.formats.sandbox_line import GoneError, LateError, Line, NonsenseError

SLOW = 0.5  # seconds, for what is to come too late
READY = wire.framed(wire.encode(wire.Ready()))
TENSOR = ("w", "float32", (10,))


def opened(**changes: object) -> bytes:
    """Return an answer that may be wrong."""
    fields: dict[str, Any] = {
        "format": "hdf5",
        "tensors": [TENSOR],
        "metadata": {},
        "same_as": {},
        "notes": [],
    }
    return wire.framed(msgspec.msgpack.encode({"is": "opened", **fields, **changes}))


LIES = {
    "noise": bytes(range(7, 256)) * 4,
    "nothing": b"",
    "long": b"\xff\xff\xff\xff",
    "not ready": opened(),
    "ready twice": READY + READY,
    "cut": READY + opened()[:-1],
    "format": READY + opened(format="pickle"),
    "dtype": READY + opened(tensors=[("w", "object", ())]),
    "dims": READY + opened(tensors=[("w", "int8", (-1,))]),
    "product": READY + opened(tensors=[("w", "int8", (1 << 30, 1 << 30))]),
    "rank": READY + opened(tensors=[("w", "int8", (1,) * 65)]),
    "twice": READY + opened(tensors=[TENSOR, TENSOR]),
    "same as": READY + opened(same_as={0: 0}),
    "same as none": READY + opened(same_as={5: 0}),
    "same as another": READY + opened(tensors=[TENSOR, ("v", "int8", (10,))], same_as={1: 0}),
    "field": READY + opened(more=1),
    "kind": READY + wire.framed(wire.encode(wire.Failed("OSError", "io", b"x", b""))),
    "code": READY + wire.framed(wire.encode(wire.Failed("FormatError", "bad", b"x", b""))),
    "count": READY + opened() + wire.framed(wire.encode(wire.Data(39))),
    "short": READY + opened() + wire.framed(wire.encode(wire.Data(40))) + b"abc",
    "negative": READY + opened() + wire.framed(wire.encode(wire.Data(-40))),
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("stays", [False, True])
def test_a_process_that_lies(lie: str, stays: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    script = f"import os, time; os.write(0, {LIES[lie]!r}); time.sleep({30 * stays})"
    monkeypatch.setattr(sandbox, "_COMMAND", (sys.executable, "-I", "-S", "-c", script))
    monkeypatch.setattr(sandbox, "_START_SECONDS", 10 if LIES[lie] else SLOW)

    def use() -> None:
        source = sandbox.open_source("x.h5", seconds=SLOW)
        try:
            source.read(0, 0, 10)
        finally:
            source.close()

    with pytest.raises((FormatError, InputOutputError)) as caught:
        use()
    assert str(caught.value).startswith("x.h5: ")
    assert str(caught.value).isprintable()


def test_what_it_says_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = wire.Failed(
        "FormatError", "source_invalid", b"a\n\x1b[31m\xff /tmp/x.h5", b"/tmp/x.h5"
    )
    error = error_of(answer, "/tmp/x.h5", "x.h5")
    assert str(error) == r"x.h5: a\n\x1b[31m\udcff x.h5"
    contents = check_opened(wire.Opened("hdf5", [], {}, {}, ["a\nb"]))
    assert contents.notes == [r"a\nb"]
    monkeypatch.setattr(sandbox, "_COMMAND", ("/nowhere/python",))
    with pytest.raises(InputOutputError):
        sandbox.open_source("x.h5")


@given(st.binary(max_size=200) | st.binary(max_size=200).map(wire.framed))
def test_noise_on_the_line(data: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(data)
        theirs.close()
        line = Line(ours)
        with pytest.raises((GoneError, NonsenseError, LateError)):
            exhaust(line)


def exhaust(line: Line) -> None:
    while True:
        line.receive(10)
