"""Every cap that a reader enforces, in one place (spec/container.md, "Limits").

A number from a file is compared with these before it is used to allocate, seek or index.
"""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

# --- the .mc file ---
MAX_TENSORS: Final = 1 << 20
MAX_ROWS: Final = 1 << 23
MAX_TASKS: Final = 1 << 16
MAX_CODECS: Final = 1 << 16
MAX_DIMENSIONS: Final = 64
MAX_CHUNK_RAW: Final = 64 * MIB
MAX_FRONT: Final = 512 * MIB
MAX_JSON_DEPTH: Final = 32
MAX_NAME_BYTES: Final = 4096
MAX_WINDOW: Final = 8 * MIB
MAX_ELEMENTS: Final = 1 << 48  # of one run: keeps every product inside 64 bits
MIN_DECODED_BUDGET: Final = 1 * GIB
DECODED_RATIO: Final = 1000

# --- other people's files (docs/architecture.md, "Guards") ---
MAX_SOURCE_OBJECTS: Final = 1 << 20
MAX_SOURCE_DEPTH: Final = 256
MAX_SOURCE_HEADER: Final = 100_000_000
MAX_SOURCE_MARKS: Final = 8 * MAX_TENSORS  # values of a JSON text: objects, lists, what follows
MAX_SOURCE_PAIRS: Final = 5 * MAX_TENSORS  # of keys and values: 4 a tensor, and metadata
MAX_SHARDS: Final = 1 << 14  # files of a safetensors set
MAX_SHARD_HEADERS: Final = 256 * MIB  # of all of them
MAX_INDEX_BYTES: Final = 64 * MIB  # of a set's index
MAX_FOLDER_FILES: Final = 1 << 16  # of a model that is a folder, its folders counted
MAX_ELEMENT_BYTES: Final = 64 * KIB
MAX_ATTRIBUTE_BYTES: Final = 256 * MIB
MAX_CARRIED: Final = 128 * MIB  # a skeleton, or metadata, that a file of another format carries
MAX_SOURCE_MESSAGES: Final = 1 << 24  # in headers of HDF5 objects, as often as they are read
MAX_TYPE_MEMBERS: Final = 4096  # of a compound or an enumeration of HDF5
MAX_ANSWER: Final = 64 * MIB  # of a sandbox: what it says of all tensors
MAX_SKELETON: Final = 1 * GIB  # of a sandbox
MAX_MEMBER_BYTES: Final = 64 * MIB  # of a zip member that is carried, not coded
MAX_MEMBERS_BYTES: Final = 256 * MIB  # of all of them
MAX_FOLDER_DEPTH: Final = 32
MAX_KERAS_SHARDS: Final = 4096  # a writer has all of them open
MAX_KERAS_INDEX: Final = 32 * MIB
MAX_NPY_HEADER: Final = 64 * KIB
MAX_SOURCE_GAPS: Final = 256 * MIB  # bytes between tensors, if the tensors are fewer than that
MAX_ALIGNMENT: Final = 1 * MIB  # of a GGUF file's data
MAX_WIRE_DEPTH: Final = 100  # messages of an ONNX file inside one another: protobuf's own limit
MAX_WIRE_FIELDS: Final = 1 << 24
MAX_ONNX_REST: Final = 256 * MIB  # what of an ONNX file is no array
MAX_ONNX_KEPT: Final = 64 * MIB  # arrays of an ONNX file whose encoding is not the canonical one
MAX_PICKLE: Final = 128 * MIB  # of a checkpoint: all that is no tensor
MAX_PICKLE_STEPS: Final = 1 << 23  # instructions and objects of it
MAX_PICKLE_SHARED: Final = 1 << 16  # visits to lists and dicts that were seen before
MAX_PICKLE_TEXT: Final = 256 * MIB  # of its skeleton, where things that are shared stand again


def decoded_budget(file_bytes: int) -> int:
    """Return how many decoded bytes a file of `file_bytes` bytes may ask for."""
    return max(MIN_DECODED_BUDGET, DECODED_RATIO * file_bytes)
