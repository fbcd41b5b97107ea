"""URLs and the credentials in them: a URL that is shown, compared or written anywhere has none."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

_USER_INFO = re.compile(
    r"(?<=://)(?:[^/?#\s'\"@]*(?:@[^/?#\s'\"@]*)*@"
    r"|[^/?#\s'\"@:]*:(?![0-9]+[/?#])[^\s'\"@]*@)"  # with a slash that should have been percent-encoded
)
SECURE = re.compile(r"(https://[^\s/?#@]+|http://(127\.0\.0\.1|localhost)(:[0-9]+)?)(/[^\s?#]*)?")
"""A URL that nobody on the way can read or change, without credentials."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user and a password for one server; never shown, not even by ``repr``."""

    user: str = field(repr=False)
    password: str = field(repr=False)


def split_credentials(url: str) -> tuple[str, Credentials | None]:
    """Return ``url`` without its user info, and the user info, percent-decoded. Raises ``ValueError`` for no URL."""
    if "@" not in url:  # of ten thousand URLs of a page, say
        return url, None
    parts = urlsplit(url)
    user_info, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, None
    user, _, password = user_info.partition(":")
    return urlunsplit(parts._replace(netloc=host)), Credentials(unquote(user), unquote(password))


def without_credentials(text: str) -> str:
    """Return a URL, or any text with URLs in it, without user info. The text is not parsed: it may be anybody's."""
    return _USER_INFO.sub("", text)


def origin(url: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port: credentials for one URL are sent to no other origin (RFC 6454)."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or ""), parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def secure(url: str) -> str:
    """Return ``url``; raise ``ValueError`` where it is not :data:`SECURE`."""
    if not SECURE.fullmatch(url):
        raise ValueError
    return url


def path_of(file_url: str) -> Path:
    """Return the path that a ``file:`` URL means (RFC 8089, POSIX paths)."""
    return Path(unquote(urlsplit(file_url).path))
