"""HTML pages of reports: parsed by the standard library, and models whose names attack them."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any, Final

from support import cases

if TYPE_CHECKING:
    from numpy.typing import NDArray

# name -> how a page shows it; each sets `window.hacked` if it gets to run
HOSTILE: Final = {
    "</script><script>window.hacked=1</script>": "</script><script>window.hacked=1</script>",
    "</title></style><svg onload=window.hacked=2>": "</title></style><svg onload=window.hacked=2>",
    '"><img src=x onerror="window.hacked=3">': '"><img src=x onerror="window.hacked=3">',
    "'--><!--]]><b>&amp;&lt;": "'--><!--]]><b>&amp;&lt;",
    "${window.hacked=4}$title`": "${window.hacked=4}$title`",
    "a\u202egnp.exe": "a\\u202egnp.exe",
    "\u2066mark\u2069": "\\u2066mark\\u2069",
    "nul\0esc\x1b[31m\r\n": "nul\\x00esc\\x1b[31m\\r\\n",
    "javascript:window.hacked=5": "javascript:window.hacked=5",
    "שלום/kernel": "שלום/kernel",
}
VOID: Final = {"meta", "input", "br", "wbr"}


def hostile_models() -> dict[str, dict[str, NDArray[Any]]]:
    """Return two tasks of hostile names with tensors of hostile names, some with an error."""
    first, second = list(HOSTILE)[:2]
    arrays = {
        name: cases.weights("float32", (140, 130) if index % 2 else (40, 30), index)
        for index, name in enumerate(HOSTILE)
    }
    return {first: arrays, second: {name: -array for name, array in arrays.items()}}


class Page(HTMLParser):
    """A parsed page: its elements, their attributes, and its text.

    Attributes
    ----------
    elements : list of (str, dict)
        Tags with their attributes, in order.
    text : str
        All text but that of style and script.
    raw : dict of str to str
        The text of style and script.
    """

    def __init__(self, content: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.raw = {"style": "", "script": ""}
        self._open: list[str] = []
        self.feed(content)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in self.raw:
            self.raw[self._open[-1]] += data
        else:
            self.text += data

    def tags(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of all elements of a tag."""
        return [attributes for name, attributes in self.elements if name == tag]

    def says(self, words: str) -> bool:
        """Tell whether the text has some words, whatever white space is between them."""
        return re.sub(r"\s+", " ", words) in re.sub(r"\s+", " ", self.text)
