"""What can go wrong, as one small tree (spec/errors.md).

McodecError(Exception)                 .code, .where
├── FormatError(ValueError)            a damaged, truncated, hostile or unreadable file: exit 3
├── CodecConfigError(ValueError)       a codec, option or plan that a person typed wrongly: exit 2
├── UsageError(ValueError)             an argument that cannot be: exit 2
│   ├── UnknownTaskError(KeyError)     a task or tensor that is not there: exit 2
│   └── EvaluatorError(ValueError)     a function that measures models breaks its rules: exit 2
├── MissingDependencyError(ImportError)    exit 4
└── InputOutputError(OSError)          a file that cannot be opened, read or written: exit 5

A reader of hostile bytes raises `FormatError` and nothing else. ``code`` is a stable reason
from `REASONS`; programs and vectors compare it, people read the message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing import Self

# reason -> what it means; spec/errors.md lists the same, and a test compares the two.
REASONS: Final[dict[str, str]] = {
    "not_mcodec": "the magic bytes are not those of an .mc file",
    "version_unsupported": "the major version is not one that this reader knows",
    "header_checksum": "the header's bytes do not match their hash",
    "header_invalid": "a header field has a value that the format reserves",
    "file_truncated": "the file is shorter than its header says",
    "trailing_data": "the file is longer than its header says",
    "front_bounds": "the front does not lie inside the file",
    "front_checksum": "the front's bytes do not match their hash",
    "manifest_corrupt": "the manifest's zstd frame or padding breaks the rules",
    "manifest_invalid": "the manifest is not the JSON that the format describes",
    "manifest_reference": "the manifest refers to something that is not there",
    "codec_unknown": "a codec id that this reader does not know",
    "codec_config": "a codec configuration breaks its codec's rules",
    "dtype_unknown": "a dtype that this reader does not know",
    "limit_exceeded": "a count or size is over a limit of the format",
    "decoded_too_large": "the file asks for more decoded bytes than its size allows",
    "row_invalid": "a row has a reserved value or breaks a rule of its coder",
    "row_bounds": "a chunk does not lie inside the file, or is not aligned",
    "row_overlap": "a chunk overlaps another or the front",
    "row_order": "the rows do not describe the streams of the runs in order",
    "row_length": "a chunk's raw length is not what its streams need",
    "chunk_checksum": "a chunk's stored bytes do not match their hash",
    "chunk_corrupt": "a chunk's zstd frame breaks the rules",
    "stream_invalid": "a stream's bytes break the rules of its codec",
    "padding_nonzero": "bytes that no row claims are not zero",
    "digest_mismatch": "decoded bytes do not match the digest of their run",
    "source_invalid": "a source model file is damaged or breaks its format's rules",
    "source_refused": "a source model file uses something that is refused as unsafe",
    "source_unknown": "a file is of no model format that mcodec reads",
    "usage": "an argument that cannot be",
    "task_unknown": "a task that is not in the file",
    "tensor_unknown": "a tensor that is not in the task",
    "evaluator": "a function that measures models raises, or gives what is no number",
    "dependency_missing": "a library that is not installed",
    "io": "the operating system refused to read or write",
}


def one_line(error: Exception) -> str:
    """Return what another library says of an error, fit for a message of ours.

    It may hold names from a file: what a terminal would act on is escaped, and there is one line of
    at most 200 characters.
    """
    words = " ".join(str(error).split()) or type(error).__name__
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in words[:200]
    )


class McodecError(Exception):
    """Every error that mcodec raises on purpose.

    Attributes
    ----------
    code : str
        A stable reason, one of `REASONS`.
    where : str
        The place: a file, a tensor, a chunk; empty where the message says it.
    """

    default_code = "usage"

    def __init__(self, message: str, *, code: str | None = None, where: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.where = where

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message

    def __copy__(self) -> Self:
        """Return an error that says the same and has attributes of its own.

        Not left to `copy`: that asks how an error is pickled, and distributed has all errors
        pickled by tblib, whose copies share the attributes of the error that they were made of.
        """
        made = type(self)(self.message)
        made.__dict__.update(self.__dict__)
        made.__cause__, made.__suppress_context__ = self.__cause__, self.__suppress_context__
        return made

    def at(self, where: str) -> McodecError:
        """Put `where` in front of the place that the error names, and return the error."""
        self.where = f"{where}: {self.where}" if self.where else where
        return self


class FormatError(McodecError, ValueError):
    """A file that is damaged, truncated, hostile, or made by a newer mcodec."""

    default_code = "manifest_invalid"


class CodecConfigError(McodecError, ValueError):
    """A codec name or option that cannot be."""

    default_code = "codec_config"


class UsageError(McodecError, ValueError):
    """An argument that cannot be."""


class UnknownTaskError(UsageError, KeyError):
    """A task or a tensor that is not there."""

    default_code = "task_unknown"
    __str__ = McodecError.__str__  # KeyError would print the repr


class EvaluatorError(UsageError):
    """A person's function that measures models raises, or does what it may not."""

    default_code = "evaluator"


class MissingDependencyError(McodecError, ImportError):
    """A library that is needed for this and is not installed."""

    default_code = "dependency_missing"


class InputOutputError(McodecError, OSError):
    """A file that cannot be opened, read or written."""

    default_code = "io"
    __str__ = McodecError.__str__
