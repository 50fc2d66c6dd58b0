"""The codecs by their id (codecs/README.md): each page is a module and a class."""

from __future__ import annotations

from reference.codecs.base import CODECS, Ask, Codec, read_codec
from reference.codecs.bfp import Bfp
from reference.codecs.csr import Csr
from reference.codecs.delta import delta
from reference.codecs.float import Float
from reference.codecs.int8 import Int8
from reference.codecs.mask import Mask
from reference.codecs.raw import Raw

CODECS |= {"raw": Raw, "float": Float, "bfp": Bfp, "int8": Int8}
CODECS |= {"csr": Csr, "delta": delta, "mask": Mask}

__all__ = ["CODECS", "Ask", "Bfp", "Codec", "read_codec"]
