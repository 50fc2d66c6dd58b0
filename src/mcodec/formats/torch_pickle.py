"""A look at a checkpoint's pickle before torch runs it.

`torch.load(weights_only=True)` calls nothing foreign, but it still allocates what a pickle asks
for, copies what it repeats and hashes what it nests. So the same program is run here first, on
stand-ins: containers are counters, tensors are four numbers. What passes is small, names only what
a checkpoint of tensors needs, and has every tensor inside its storage.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

from mcodec.errors import FormatError
from mcodec.formats.torch_calls import (
    COUNTER,
    ORDERED,
    Box,
    Storage,
    call,
    hashable,
    name_of,
    storage_of,
)
from mcodec.limits import MAX_PICKLE, MAX_PICKLE_STEPS

if TYPE_CHECKING:
    from collections.abc import Callable

_STOP: Final = ord(".")
_MODULES: Final = {"__builtin__": "builtins"}  # as Python 2 called it, and protocol 2 still does
_NUMBERS: Final = {
    ord("J"): struct.Struct("<i"),
    ord("K"): struct.Struct("<B"),
    ord("M"): struct.Struct("<H"),
    ord("G"): struct.Struct(">d"),
}
_CONSTANTS: Final[dict[int, Any]] = {ord("N"): None, 0x88: True, 0x89: False, ord(")"): ()}
_BOXES: Final = {ord("}"): "dict", 0x8F: "set"}
_KEYED: Final = ("dict", ORDERED, COUNTER)
_SMALL_TUPLES: Final = {0x85: 1, 0x86: 2, 0x87: 3}


class Scan:
    """Runs pickles on stand-ins, and gathers the storages that they name.

    Parameters
    ----------
    data : bytes-like
        What the pickles lie in.
    legacy : bool
        Whether storages are named as in files before PyTorch 1.6.

    Attributes
    ----------
    storages : dict of str to Storage
        By key, in the order in which torch loads them.
    """

    def __init__(self, data: memoryview, legacy: bool = False) -> None:
        self.at = 0
        self.storages: dict[str, Storage] = {}
        self._data = data
        self._legacy = legacy
        self._steps = 0
        self._stack: list[Any] = []
        self._marks: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        """Run the pickle that begins at `at`, move `at` behind it, and return what it makes.

        Raises
        ------
        FormatError
            ``source_refused`` for a class or function that is not taken, ``limit_exceeded``,
            ``source_invalid`` for what is damaged.
        """
        self._stack, self._marks, self._memo = [], [], {}
        start = self.at
        while True:
            code = self._take(1)[0]
            self._spend(1)
            if self.at - start > MAX_PICKLE:
                raise FormatError("the pickle is too long", code="limit_exceeded")
            if code == _STOP:
                return self._pop()
            step = _STEPS.get(code)
            if step is None:
                raise _invalid(f"the pickle has an instruction that is not taken ({code:#04x})")
            step(self, code)

    def _spend(self, count: int) -> None:
        self._steps += count
        if self._steps > MAX_PICKLE_STEPS:
            raise FormatError("the pickle makes too many objects", code="limit_exceeded")

    def _take(self, count: int) -> memoryview:
        end = self.at + count
        if end > len(self._data):
            raise _invalid("the pickle ends early, or declares more bytes than there are")
        part = self._data[self.at : end]
        self.at = end
        return part

    def _line(self) -> str:
        window = bytes(self._data[self.at : self.at + 1024])
        line, newline, _ = window.partition(b"\n")
        self._take(len(line) + len(newline))
        try:
            return line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise _invalid("the pickle names something that is no text") from error

    def _pop(self) -> Any:
        if not self._stack:
            raise _invalid("the pickle takes more than it has")
        return self._stack.pop()

    def _items(self) -> list[Any]:
        if not self._marks:
            raise _invalid("the pickle takes more than it has")
        items, self._stack = self._stack, self._marks.pop()
        return items

    def _top(self) -> Any:
        if not self._stack:
            raise _invalid("the pickle takes more than it has")
        return self._stack[-1]

    def _mark(self, _: int) -> None:
        self._marks.append(self._stack)
        self._stack = []

    def _constant(self, code: int) -> None:
        self._stack.append(_CONSTANTS[code])

    def _number(self, code: int) -> None:
        form = _NUMBERS[code]
        self._stack.append(form.unpack(self._take(form.size))[0])

    def _long(self, _: int) -> None:
        raw = self._take(self._take(1)[0])
        self._stack.append(int.from_bytes(raw, "little", signed=True))

    def _text(self, code: int) -> None:
        wide = code == ord("X")
        length = int.from_bytes(self._take(4 if wide else 1), "little")
        raw = self._take(length)
        try:
            self._stack.append(str(raw, "utf-8", "surrogatepass" if wide else "strict"))
        except UnicodeDecodeError as error:
            raise _invalid("the pickle has a text that is no UTF-8") from error

    def _box(self, code: int) -> None:
        self._stack.append(Box(_BOXES[code]))

    def _list(self, _: int) -> None:
        self._stack.append([])

    def _tuple(self, code: int) -> None:
        if code == ord("t"):
            items = self._items()
        else:
            items = [self._pop() for _ in range(_SMALL_TUPLES[code])][::-1]
        self._stack.append(tuple(items))

    def _append(self, code: int) -> None:
        items = self._items() if code == ord("e") else [self._pop()]
        if type(self._top()) is not list:
            raise _invalid("the pickle appends to what is no list")
        self._top().extend(items)

    def _set_items(self, code: int) -> None:
        items = self._items() if code == ord("u") else [self._pop(), self._pop()][::-1]
        box = self._top()
        if len(items) % 2 or not isinstance(box, Box) or box.kind not in _KEYED:
            raise _invalid("the pickle sets an item of what has none")
        for key in items[::2]:
            hashable(key)
        box.count += len(items) // 2

    def _put(self, code: int) -> None:
        width = 1 if code == ord("q") else 4
        self._memo[int.from_bytes(self._take(width), "little")] = self._top()

    def _get(self, code: int) -> None:
        width = 1 if code == ord("h") else 4
        index = int.from_bytes(self._take(width), "little")
        if index not in self._memo:
            raise _invalid("the pickle refers to what is not there")
        self._stack.append(self._memo[index])

    def _global(self, _: int) -> None:
        module, name = self._line(), self._line()
        self._stack.append(name_of(f"{_MODULES.get(module, module)}.{name}"))

    def _reduce(self, _: int) -> None:
        args, function = self._pop(), self._pop()
        made, cost = call(function, args)
        self._spend(cost)
        self._stack.append(made)

    def _build(self, _: int) -> None:
        state, box = self._pop(), self._top()
        if not isinstance(box, Box) or box.kind not in _KEYED[1:]:
            raise FormatError(
                "the pickle sets the state of an object of a class that is not taken",
                code="source_refused",
            )
        if not isinstance(state, Box) or state.kind != "dict":
            raise _invalid("the pickle sets a state that is no dict")
        self._spend(state.count)

    def _persistent(self, _: int) -> None:
        storage = storage_of(self._pop(), self._legacy)
        known = self.storages.setdefault(storage.key, storage)
        if known != storage:
            raise _invalid(f"the storage {storage.key!r} is there with two types or sizes")
        self._stack.append(known)

    def _protocol(self, _: int) -> None:
        self._take(1)

    def _object(self, _: int) -> None:
        raise FormatError("the pickle makes objects of classes", code="source_refused")


_METHODS: Final[tuple[tuple[bytes, Callable[[Scan, int], None]], ...]] = (
    (b"(", Scan._mark),
    (b"N\x88\x89)", Scan._constant),
    (b"JKMG", Scan._number),
    (b"\x8a", Scan._long),
    (b"XU", Scan._text),
    (b"}\x8f", Scan._box),
    (b"]", Scan._list),
    (b"t\x85\x86\x87", Scan._tuple),
    (b"ae", Scan._append),
    (b"su", Scan._set_items),
    (b"qr", Scan._put),
    (b"hj", Scan._get),
    (b"c", Scan._global),
    (b"R", Scan._reduce),
    (b"b", Scan._build),
    (b"Q", Scan._persistent),
    (b"\x80", Scan._protocol),
    (b"\x81", Scan._object),
)
_STEPS: Final = {code: step for codes, step in _METHODS for code in codes}


def _invalid(message: str) -> FormatError:
    return FormatError(message, code="source_invalid")
