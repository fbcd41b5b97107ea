"""Reads the anchors of an HTML page of the Simple API (PEP 503, PEP 592).

Indexes write thousands of them in one shape. What has that shape to the letter is taken by a regular expression, and
what is between them goes through ``html.parser``. Where that is not well-formed, or leaves the parser inside of
anything, the whole page goes through it: so the result is that of ``html.parser`` for any text.
"""

from __future__ import annotations

import re
from functools import lru_cache
from html import unescape
from html.parser import HTMLParser
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urljoin

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_VALUE = r'"([^"&<]*+(?:&(?:lt|gt|amp|quot|#39);[^"&<]*+)*+)"'
_IGNORED = r'(?: (?:rel|data-(?:gpg-sig|dist-info-metadata|core-metadata|provenance))="[^"&<]*+")*+'
_ANCHOR = re.compile(
    r'<a href="'
    r"((?:https?://[A-Za-z0-9.-]++(?::[0-9]++)?+/|(?!//))(?:[A-Za-z0-9._~+/-]*/)?([A-Za-z0-9][A-Za-z0-9._+-]*+))"
    rf'(?:#sha256=([0-9a-f]{{64}}+))?+"{_IGNORED}'
    rf"(?: data-requires-python={_VALUE})?+{_IGNORED}"
    rf"(?: data-yanked={_VALUE})?+{_IGNORED}"
    rf"(?: data-upload-time={_VALUE})?+{_IGNORED}"
    r">[^<&]*+</a>\s*+(?:<br ?/?>)?+\s*+"
)
"""An anchor as most indexes write it, with the blanks behind it. Its URL has nothing that a URL could hide a name with,
so it ends with the file's name."""
_STRIDE = _ANCHOR.groups + 1

_WELL_FORMED = re.compile(
    r"""(?:[^<]++|<!DOCTYPE[\w\s]*>|<!--[^<>-]*-->|</[A-Za-z][A-Za-z0-9]*>"""
    r"""|<[A-Za-z][A-Za-z0-9]*(?:\s+[A-Za-z-]+(?:="[^"<]*"|='[^'<]*')?)*\s*/?>)*+""",
    re.IGNORECASE,
)
"""Text and tags each of which ends where it seems to, whatever comes behind: no quote is left open, which
``html.parser`` would close with the next one that it finds."""

_unescape = lru_cache(maxsize=1024)(unescape)


class Link(NamedTuple):
    """One link of a page, unchecked."""

    url: str
    """Without fragment; it may be relative to the page."""
    filename: str | None = None
    """What the URL's path ends with; None where nobody has looked."""
    sha256: str | None = None
    """Should be 64 hex digits."""
    requires_python: str | None = None
    yanked: str | None = None
    """The reason, which may be empty; ``None`` for a file that is not yanked."""
    upload_time: str | None = None
    size: int | None = None


class Page(NamedTuple):
    """What a page says."""

    links: list[Link]
    version: str | None
    """Of the Simple API (PEP 629)."""
    truncated: bool
    """Whether it ends inside of a tag."""


def read_html(text: str) -> Page:
    """Return what a page says, in its order."""
    parts = _ANCHOR.split(text)  # what is between the anchors, and the groups of each anchor
    parser = _Links()
    others: list[tuple[int, list[Link]]] = []
    for place, between in enumerate(parts[::_STRIDE]):
        if between:
            if len(parts) == 1 or not _WELL_FORMED.fullmatch(between):
                return _parsed(text)
            parser.feed(between)
            if not parser.between_tags or parser.base:
                return _parsed(text)
            if parser.anchors:
                others.append((place, list(parser.taken())))
    links = list(map(Link, *(parts[group::_STRIDE] for group in (1, 2, 3)), *_values(parts)))
    for place, found in reversed(others):
        links[place:place] = found
    return Page(links, parser.version, truncated=False)


def _values(parts: list[str | None]) -> Iterator[list[str | None]]:
    for group in (4, 5, 6):
        yield [_unescape(text) if text else text for text in parts[group::_STRIDE]]


def _parsed(text: str) -> Page:
    parser = _Links()
    parser.feed(text)
    truncated = parser.rawdata.startswith("<")  # it was fed, but not closed: what is left is a tag that never ended
    return Page(list(parser.taken()), parser.version, truncated)


class _Links(HTMLParser):
    """Collects the anchors of a page; their text repeats the file name that the URL ends with (PEP 503)."""

    def __init__(self) -> None:
        super().__init__()
        self.base = ""
        self.version: str | None = None
        self.anchors: list[Mapping[str, str | None]] = []

    @property
    def between_tags(self) -> bool:
        """Whether all that was fed is understood, and what comes next is neither in a tag nor in a script."""
        return not self.rawdata and self.cdata_elem is None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.anchors.append(dict(attrs))
        elif tag == "base" and not self.base:
            self.base = dict(attrs).get("href") or ""
        elif tag == "meta" and ("name", "pypi:repository-version") in attrs:
            self.version = dict(attrs).get("content") or ""

    def taken(self) -> Iterator[Link]:
        """Yield the links that lead somewhere, relative to the page, and forget them."""
        anchors, self.anchors = self.anchors, []
        for anchor in anchors:
            url, _, fragment = (anchor.get("href") or "").strip().partition("#")
            if url:
                yield Link(
                    urljoin(self.base, url) if self.base else url,
                    sha256=fragment.removeprefix("sha256=") if fragment.startswith("sha256=") else None,
                    requires_python=anchor.get("data-requires-python"),
                    yanked=(anchor["data-yanked"] or "") if "data-yanked" in anchor else None,
                    upload_time=anchor.get("data-upload-time"),  # no standard yet, but what some indexes say
                )
