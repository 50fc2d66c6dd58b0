"""A checkpoint's file: checked, and then loaded by torch with ``weights_only`` alone."""

from __future__ import annotations

import contextlib
import io
import mmap
import re
import threading
import warnings
from typing import TYPE_CHECKING, Any, Final

from mcodec.errors import FormatError, McodecError, MissingDependencyError, one_line
from mcodec.formats.base import SKELETON_FILE
from mcodec.formats.standins import DTYPES_FILE, read_dtypes
from mcodec.formats.torch_pickle import Scan
from mcodec.formats.zips import ZipDirectory
from mcodec.limits import MAX_CARRIED, MAX_MEMBER_BYTES, MAX_PICKLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcodec.formats.files import InputFile
    from mcodec.formats.torch_calls import Storage

_ZIP: Final = b"PK\x03\x04"
_MAGIC: Final = 0x1950A86A20F9469CFC6C  # of files before PyTorch 1.6
_PROTOCOL: Final = 1001
_STEP: Final = 1 << 24
_CLASS: Final = re.compile(r"GLOBAL (\S+) was not an allowed global|(\S+) whose module \S+ is")


class Archive:
    """A checkpoint, loaded.

    Parameters
    ----------
    file : InputFile

    Attributes
    ----------
    value : object
        What torch made of it. Where the records are stored its tensors are views of the mapped
        file, and nothing of them is read yet.
    carried : bytes
        The skeleton of another format that lies in it.
    dtypes : dict of str to str
        What stand-ins really are, by the names of the tensors.
    places : dict of int to int
        Where a storage lies in the file, by its address in memory; only of files that are mapped
        and little-endian.

    Raises
    ------
    FormatError
        It is damaged, or holds something that is not taken.
    MissingDependencyError
        torch is not installed.
    """

    def __init__(self, file: InputFile) -> None:
        self.value: Any = None
        self.carried = b""
        self.dtypes: dict[str, str] = {}
        self.places: dict[int, int] = {}
        self._zip: ZipDirectory | None = None
        self._lock = threading.Lock()
        self._unchecked: dict[int, str] = {}  # address of a storage -> its record
        try:
            if file.read(0, 4) == _ZIP:
                self._zip = ZipDirectory(file.path)
                self.value = self._load(self._zip, file.path)
            else:
                self.value = _load_legacy(file)
        except BaseException:
            self.close()
            raise

    def _load(self, archive: ZipDirectory, path: str) -> Any:
        folder = _folder(archive)
        scan = Scan(memoryview(archive.read(f"{folder}/data.pkl", MAX_PICKLE)))
        scan.run()
        records = {key: f"{folder}/data/{key}" for key in scan.storages}
        for storage in scan.storages.values():
            _check_record(archive, records[storage.key], storage)
        little = _check_order(archive, f"{folder}/byteorder", scan)
        if f"{folder}/{SKELETON_FILE}" in archive.members:
            self.carried = archive.read(f"{folder}/{SKELETON_FILE}", MAX_CARRIED)
        if f"{folder}/{DTYPES_FILE}" in archive.members:
            self.dtypes = read_dtypes(archive.read(f"{folder}/{DTYPES_FILE}", MAX_MEMBER_BYTES))
        # torch would read a file of this name as safetensors, unless it is given one that is open.
        mapped = not path.endswith(".safetensors") and all(
            archive.stored_at(record) is not None for record in records.values()
        )
        if not mapped:
            for record in records.values():
                archive.check_crc(record)
        found: list[tuple[int, int]] = []
        if mapped:
            value = _load_torch(path, found, mmap=True)
        else:
            with open(path, "rb") as stream:
                value = _load_torch(stream, found, mmap=False)
        full = [one for one in scan.storages.values() if one.nbytes]
        if [nbytes for _, nbytes in found] != [one.nbytes for one in full]:
            raise _invalid("torch reads other storages than those that were checked")
        if mapped:
            places = [archive.stored_at(records[one.key]) or 0 for one in full]
            addresses = [address for address, _ in found]
            _check_mapping(addresses, places)
            if little:
                self.places = dict(zip(addresses, places, strict=True))
            self._unchecked = {
                address: records[one.key] for (address, _), one in zip(found, full, strict=True)
            }
        return value

    def check(self, address: int) -> None:
        """Check the CRC of the storage at an address of memory, the first time it is asked for.

        Raises
        ------
        FormatError
            ``source_invalid`` if its bytes are damaged.
        """
        with self._lock:
            record = self._unchecked.get(address)
            if record is not None and self._zip is not None:
                self._zip.check_crc(record)
                del self._unchecked[address]

    def close(self) -> None:
        """Release the file; a second call does nothing."""
        self.value = None
        if self._zip is not None:
            self._zip.close()


def _folder(archive: ZipDirectory) -> str:
    """Return the folder that all records lie in."""
    names = list(archive.members)
    folders = {name.partition("/")[0] for name in names}
    inside = {name.partition("/")[2] for name in names}
    if any(name == "constants.pkl" or name.startswith("code/") for name in inside):
        raise FormatError(
            "it is a TorchScript archive, a program: save the module's state_dict() instead",
            code="source_refused",
        )
    if len(folders) != 1 or "" in folders or "" in inside:
        raise FormatError(
            "its records do not lie in one folder, as PyTorch writes them", code="source_refused"
        )
    if "data.pkl" not in inside:
        raise _invalid("it has no data.pkl")
    return folders.pop()


def _check_record(archive: ZipDirectory, record: str, storage: Storage) -> None:
    info = archive.members.get(record)
    if info is None:
        raise _invalid(f"the record {record!r} of a storage is missing")
    if info.file_size != storage.nbytes:
        raise _invalid(
            f"the record {record!r} has {info.file_size} bytes, its storage {storage.nbytes}"
        )


def _check_order(archive: ZipDirectory, record: str, scan: Scan) -> bool:
    """Tell little-endian archives, and refuse what torch gets wrong of others.

    It turns the bytes of storages round only if they are typed.
    """
    if record not in archive.members or archive.read(record, 16) == b"little":
        return True
    if any(storage.untyped for storage in scan.storages.values()):
        raise FormatError(
            "it is big-endian, and holds tensors of dtypes that torch does not turn round",
            code="source_refused",
        )
    return False


def _check_mapping(addresses: list[int], places: list[int]) -> None:
    """Refuse an archive that torch's zip reader sees otherwise than ours."""
    starts = {address - place for address, place in zip(addresses, places, strict=True)}
    if len(starts) > 1 or any(start % mmap.PAGESIZE for start in starts):
        raise _invalid("torch finds its records in other places than the zip directory says")


def _load_legacy(file: InputFile) -> Any:
    buffer = io.BytesIO()
    while part := file.read(buffer.tell(), _STEP):
        buffer.write(part)
    with buffer.getbuffer() as data:
        _scan_legacy(data)
    buffer.seek(0)
    return _load_torch(buffer, [], mmap=False)


def _scan_legacy(data: memoryview) -> None:
    """Check a file of the kind before PyTorch 1.6: five pickles, and the storages' bytes."""
    scan = Scan(data, legacy=True)
    if scan.run() != _MAGIC or scan.run() != _PROTOCOL:
        raise FormatError("it is a pickle, but no PyTorch checkpoint", code="source_refused")
    scan.run()  # of the machine that wrote it
    scan.run()
    keys = scan.run()
    if type(keys) is not list or not all(type(key) is str for key in keys):
        raise _invalid("it does not list its storages")
    if len(keys) != len(set(keys)) or set(keys) != set(scan.storages):
        raise _invalid("it lists other storages than it has")
    at = scan.at
    for storage in (scan.storages[key] for key in keys):
        count = int.from_bytes(data[at : at + 8], "little")
        at += 8 + storage.nbytes
        if count != storage.count or at > len(data):
            raise _invalid(f"the storage {storage.key[:40]!r} is not as long as it says")


def _load_torch(source: Any, found: list[tuple[int, int]], *, mmap: bool) -> Any:
    """Have torch load a checked file; `found` gets address and size of each storage in order."""

    def on_cpu(storage: Any, _: str) -> Any:
        if storage.nbytes():
            found.append((storage.data_ptr(), storage.nbytes()))
        return storage

    with quiet_torch():
        import torch

        return torch.load(source, map_location=on_cpu, weights_only=True, mmap=mmap)


@contextlib.contextmanager
def quiet_torch() -> Iterator[None]:
    """Keep torch from printing, and turn whatever it raises into one line.

    Raises
    ------
    FormatError
        ``source_refused`` where it names a class that it does not take, else ``source_invalid``.
    MissingDependencyError
        torch is not installed.
    """
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    except McodecError:
        raise
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "PyTorch checkpoints are read by torch: pip install 'mcodec[torch]'"
        ) from error
    except Exception as error:
        refused = _CLASS.search(str(error))
        if refused is not None:
            name = refused[1] or refused[2]
            raise FormatError(
                f"torch refuses it: it holds {name[:200]!r}", code="source_refused"
            ) from error
        raise _invalid(f"torch cannot load it ({one_line(error)})") from error


def _invalid(message: str) -> FormatError:
    return FormatError(message, code="source_invalid")
