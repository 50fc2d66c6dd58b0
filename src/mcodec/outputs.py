"""Outputs that are whole or absent: files and folders, written aside and renamed."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mcodec.errors import McodecError, UsageError
from mcodec.storage import check_regular, io_errors, is_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


AT_ONCE: Final = 512  # pieces that are written in one call; systems take 1,024


def check_output(path: str | os.PathLike[str], inputs: Iterable[object] = ()) -> None:
    """Refuse an output that cannot be; callers with long work to do ask before it.

    Parameters
    ----------
    path
        The output.
    inputs
        What is read; those that are paths may not be the output, under whatever name.

    Raises
    ------
    UsageError
        The path is empty, a URL, or one of the inputs.
    InputOutputError
        It is a folder, a pipe or a device, or its folder is not there.
    """
    name = os.fspath(path)
    check_name(name, inputs)
    with io_errors(name):
        with contextlib.suppress(FileNotFoundError):
            check_regular(os.stat(name).st_mode)  # a rename would replace /dev/null itself
        folder = os.path.dirname(os.path.realpath(name))
        if not os.path.isdir(folder):
            raise OSError(errno.ENOENT, "the folder to write it in is not there")


def check_name(path: str | os.PathLike[str], inputs: Iterable[object] = ()) -> None:
    """Refuse the name of an output, whatever is to be written there.

    Raises
    ------
    UsageError
        It is empty, a URL, or one of the inputs.
    """
    name = os.fspath(path)
    if not name:
        raise UsageError("the name of the output is empty")
    if is_url(name):
        raise UsageError(f"{name}: an output is a file of this machine; copy it later")
    for one in inputs:
        if isinstance(one, str | os.PathLike) and _same_file(name, os.fspath(one)):
            raise UsageError(f"{name} is an input as well as the output; give it another name")


def _same_file(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):  # one of them is not there
        return False


@contextlib.contextmanager
def atomic_output(path: str | os.PathLike[str]) -> Iterator[str]:
    """Give the name of a temporary file that becomes `path` if the block ends well.

    The temporary file lies in the target's folder, is synced and then renamed; on any error or
    interrupt it is removed, and an existing `path` stays as it was.
    """
    name = os.fspath(path)
    check_output(name)
    target = Path(os.path.realpath(name))  # a link to a file is kept, and its target replaced
    with io_errors(name):
        # The name is there before the file: an interrupt right behind its making still removes it.
        temporary = str(target.with_name(f".{target.name[:40]}.{os.urandom(8).hex()}.tmp"))
        try:
            _create(temporary, target)
            yield temporary
            _sync(temporary)
            os.replace(temporary, target)
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            _rename_in(error, temporary, name)
            raise
        _sync(str(target.parent))


def check_folder(path: str | os.PathLike[str], inputs: Iterable[object] = ()) -> None:
    """Refuse a folder that cannot be made; as `check_output` for a file.

    Raises
    ------
    UsageError
        The path is empty, a URL, or one of the inputs.
    InputOutputError
        It is a file, or a folder with something in it, or the folder above is not there.
    """
    name = os.fspath(path)
    if os.path.isdir(name):
        check_name(name, inputs)
        with io_errors(name), os.scandir(name) as entries:
            if any(entries):
                raise OSError(errno.ENOTEMPTY, "the folder is there and not empty; name another")
        return
    check_output(name, inputs)
    with io_errors(name):
        if os.path.lexists(name):
            raise OSError(errno.EEXIST, "a file is there, and the output is a folder")


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[str]:
    """Give the name of an empty temporary folder that becomes `path` if the block ends well.

    As `atomic_output`; an existing `path` has to be an empty folder.
    """
    name = os.fspath(path)
    check_folder(name)
    target = Path(os.path.realpath(name))
    with io_errors(name):
        temporary = str(target.with_name(f".{target.name[:40]}.{os.urandom(8).hex()}.tmp"))
        try:
            os.mkdir(temporary)
            yield temporary
            for folder, _, files in os.walk(temporary):
                for one in (*files, "."):
                    _sync(os.path.join(folder, one))
            os.rename(temporary, target)  # also onto an empty folder, but never onto a file
        except BaseException as error:
            shutil.rmtree(temporary, ignore_errors=True)
            _rename_in(error, temporary, name)
            raise
        _sync(str(target.parent))


def write_pieces(
    descriptor: int, place: int, pieces: Iterable[bytes | bytearray | memoryview]
) -> None:
    """Write pieces one after another from a place of a file on, many in one call.

    Raises
    ------
    OSError
        The operating system refuses to write.
    """
    left = iter(pieces)
    while batch := list(islice(left, AT_ONCE)):
        while batch:  # the system may take less than all of it
            count = os.pwritev(descriptor, batch, place)
            place += count
            while batch and count >= len(batch[0]):
                count -= len(batch.pop(0))
            if count:
                batch[0] = memoryview(batch[0])[count:]


def size_of(path: str) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    with io_errors(path):
        if not os.path.isdir(path):
            return os.path.getsize(path)
        return sum(
            os.path.getsize(os.path.join(folder, name))
            for folder, _, names in os.walk(path)
            for name in names
        )


@contextlib.contextmanager
def known_as(temporary: str, name: str) -> Iterator[None]:
    """Say the name that a person gave, where an error says that of a file beside the output."""
    try:
        yield
    except McodecError as error:
        _rename_in(error, temporary, name)
        raise


def _rename_in(error: BaseException, temporary: str, name: str) -> None:
    """Say the name that a person gave, where an error of ours says the temporary one."""
    if isinstance(error, McodecError):
        error.where = error.where.replace(temporary, name)
        error.message = error.message.replace(temporary, name)


def _create(path: str, target: Path) -> None:
    """Make an empty file with an existing target's permissions, else with what open() gives."""
    try:
        mode = stat.S_IMODE(target.stat().st_mode)
    except FileNotFoundError:
        mode = None
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
    fd = os.open(path, flags, 0o666 if mode is None else 0o600)
    try:
        if mode is not None:
            os.fchmod(fd, mode)
    finally:
        os.close(fd)


def _sync(path: str) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    except OSError as error:  # some file systems cannot sync a folder
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(fd)
