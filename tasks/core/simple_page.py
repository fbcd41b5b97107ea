"""Reads a project's page of the Simple API, be it JSON (PEP 691, PEP 700) or HTML (PEP 503, PEP 592)."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote, urljoin, urlsplit

from packaging.utils import canonicalize_name

from tasks.core.addresses import without_credentials
from tasks.core.listing import Listing, Row, Sorter
from tasks.core.releases import Kind
from tasks.core.simple_html import Link, read_html

if TYPE_CHECKING:
    from collections.abc import Iterable

    from packaging.utils import NormalizedName

ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
"""What :func:`read_page` understands, for the request's header (PEP 691)."""

_JSON = ("application/vnd.pypi.simple.v1+json", "application/json")
_HTML = ("application/vnd.pypi.simple.v1+html", "text/html", "application/xhtml+xml")
_FILES = (".whl", ".egg", ".exe", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_ABSOLUTE = re.compile(r"https?://|file:", re.IGNORECASE)
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*+").fullmatch
"""A file name that a URL which ends with it cannot mean otherwise."""
_OUR_VERSION = 1  # of the Simple API; a higher minor version adds only what may be ignored


class NotAPage(Exception):
    """What a server sent is no project's page; the message says what it is, as the end of a sentence."""


def read_page(project: NormalizedName, body: bytes, *, content_type: str, url: str) -> Listing:
    """Read the page of ``project`` that came from ``url``. Raises :class:`NotAPage`, never returns half a page."""
    kind, _, parameters = content_type.partition(";")
    kind = kind.strip().lower()
    if kind in _JSON:
        listed, announced = _json_files(body)
    elif kind in _HTML:
        listed, announced = _html_files(body, parameters)
    else:
        raise NotAPage(f"is {kind or 'of no content type'}, expected a page of the Simple API, JSON or HTML")
    return _listing(project, listed, url=without_credentials(url), announced=announced)


def linked_files(body: bytes) -> list[tuple[str, str]]:
    """Return what an HTML page, of whatever tool, links to that installers may take: the URLs and the file names.

    Of what is no page there is nothing to return.
    """
    links = read_html(body.decode("utf-8", "replace")).links
    found = ((link.url, unquote(urlsplit(link.url).path.rpartition("/")[2])) for link in links)
    return [(url, name) for url, name in found if name.endswith(_FILES)]


def linked_projects(body: bytes) -> frozenset[NormalizedName]:
    """Return the projects that an HTML list of projects links to (PEP 503)."""
    links = read_html(body.decode("utf-8", "replace")).links
    paths = (urlsplit(link.url).path.removesuffix("index.html").rstrip("/") for link in links)
    return frozenset(canonicalize_name(unquote(path.rpartition("/")[2])) for path in paths) - {canonicalize_name("")}


def _listing(name: NormalizedName, links: Iterable[Link], *, url: str, announced: bool) -> Listing:
    place = Sorter(name)
    skipped = strangers = 0
    for link in links:
        filename = link.filename or _filename(link.url, url)
        found = place(filename)
        if found is None:
            skipped += 1
            strangers += not canonicalize_name(filename).startswith(name)
            continue
        kind, rows = found
        row: Row = (filename, link.requires_python, link.yanked, link.upload_time)
        if kind is Kind.SDIST:
            row = (*row, without_credentials(_absolute(link.url, url)), _sha256_of(link.sha256), link.size)
        rows.append(row)
    if not place.files and (
        strangers or not (announced or skipped)
    ):  # a login page, say, or the page of another project
        raise NotAPage(f"lists no file of {name}")
    return Listing(name=name, files=place.files, skipped=skipped)


def _absolute(link: str, page: str) -> str:
    return link if _ABSOLUTE.match(link) else urljoin(page, link)


def _filename(link: str, page: str) -> str:
    return unquote(urlsplit(_absolute(link, page)).path.rpartition("/")[2])


def _json_files(body: bytes) -> tuple[list[Link], bool]:
    try:
        page = json.loads(body)
    except ValueError as error:
        raise NotAPage(f"is broken or truncated JSON ({error})") from error
    if not isinstance(page, dict) or not isinstance(page.get("files"), list):
        raise NotAPage('is JSON without "files"')
    meta = page.get("meta")
    _check_version(str(meta.get("api-version", "")) if isinstance(meta, dict) else "")
    return [_json_file(place, file) for place, file in enumerate(page["files"])], True


def _json_file(place: int, file: object) -> Link:
    """Return one of what may be ten thousand: what is as it should be takes no further look."""
    if not isinstance(file, dict) or not isinstance(url := file.get("url"), str):
        raise NotAPage(f"has no URL in files[{place}]")
    said = file.get
    url = url.partition("#")[0]
    name, hashes, size, yanked = said("filename"), said("hashes"), said("size"), said("yanked")
    requires_python, upload_time = said("requires-python"), said("upload-time")
    return Link(
        url,
        name if isinstance(name, str) and url.endswith(f"/{name}") and _PLAIN(name) and "?" not in url else None,
        hashes.get("sha256") if isinstance(hashes, dict) else None,
        requires_python if isinstance(requires_python, str) else None,
        (yanked if isinstance(yanked, str) else "") if yanked or yanked == "" else None,
        upload_time if isinstance(upload_time, str) else None,
        size if type(size) is int else None,  # which a boolean is not
    )


def _html_files(body: bytes, parameters: str) -> tuple[list[Link], bool]:
    charset = re.search(r"charset=\"?([\w-]+)", parameters)
    try:
        text = body.decode(charset[1] if charset else "utf-8", "replace")
    except LookupError:
        text = body.decode("utf-8", "replace")
    page = read_html(text)
    if page.truncated:
        raise NotAPage("is truncated HTML")
    if page.version is not None:
        _check_version(page.version)
    return page.links, page.version is not None


def _check_version(version: str) -> None:
    major = re.match(r"(\d+)\.\d+$", version)
    if major is None or int(major[1]) != _OUR_VERSION:
        raise NotAPage(f"is of version {version or '(none)'} of the Simple API, expected {_OUR_VERSION}.x")


def _sha256_of(text: object) -> str | None:
    """Return what a server sent as a sha256, if it is one."""
    return text.lower() if isinstance(text, str) and re.fullmatch(r"[0-9a-fA-F]{64}", text) else None
