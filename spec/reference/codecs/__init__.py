"""The codecs by their id (codecs/README.md): each page is a module and a class."""

from __future__ import annotations

from reference.codecs.base import CODECS, Ask, Codec, read_codec
from reference.codecs.bfp import Bfp
from reference.codecs.float import Float
from reference.codecs.raw import Raw

CODECS |= {"raw": Raw, "float": Float, "bfp": Bfp}

__all__ = ["CODECS", "Ask", "Bfp", "Codec", "read_codec"]
