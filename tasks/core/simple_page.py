"""Reads a project's page of the Simple API, be it JSON (PEP 691, PEP 700) or HTML (PEP 503, PEP 592)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin, urlsplit

from packaging.utils import canonicalize_name

from tasks.core.addresses import without_credentials
from tasks.core.releases import Project, ProjectFile, identify, parse_requires_python

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from packaging.utils import NormalizedName

ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
"""What :func:`read_page` understands, for the request's header (PEP 691)."""

_JSON = ("application/vnd.pypi.simple.v1+json", "application/json")
_HTML = ("application/vnd.pypi.simple.v1+html", "text/html", "application/xhtml+xml")
_FILES = (".whl", ".egg", ".exe", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_ABSOLUTE = re.compile(r"https?://|file:", re.IGNORECASE)
_OUR_VERSION = 1  # of the Simple API; a higher minor version adds only what may be ignored


class NotAPage(Exception):
    """What a server sent is no project's page; the message says what it is, as the end of a sentence."""


def read_page(project: NormalizedName, body: bytes, *, content_type: str, url: str) -> Project:
    """Parse the page of ``project`` that came from ``url``. Raises :class:`NotAPage`, never returns half a page."""
    kind, _, parameters = content_type.partition(";")
    kind = kind.strip().lower()
    if kind in _JSON:
        listed, announced = _json_files(body)
    elif kind in _HTML:
        listed, announced = _html_files(body, parameters)
    else:
        raise NotAPage(f"is {kind or 'of no content type'}, expected a page of the Simple API, JSON or HTML")
    return _project(project, listed, url=without_credentials(url), announced=announced)


def linked_files(body: bytes) -> list[tuple[str, str]]:
    """Return what an HTML page, of whatever tool, links to that installers may take: the URLs and the file names.

    Of what is no page there is nothing to return.
    """
    parser = _Links()
    parser.feed(body.decode("utf-8", "replace"))
    found = ((row.url, unquote(urlsplit(row.url).path.rpartition("/")[2])) for row in parser.listed())
    return [(url, name) for url, name in found if name.endswith(_FILES)]


def linked_projects(body: bytes) -> frozenset[NormalizedName]:
    """Return the projects that an HTML list of projects links to (PEP 503)."""
    parser = _Links()
    parser.feed(body.decode("utf-8", "replace"))
    paths = (urlsplit(row.url).path.removesuffix("index.html").rstrip("/") for row in parser.listed())
    return frozenset(canonicalize_name(unquote(path.rpartition("/")[2])) for path in paths) - {canonicalize_name("")}


@dataclass(slots=True)  # not frozen, which would make ten thousand of them three times as slow
class _Listed:
    """One file as a page lists it, unchecked."""

    url: str
    sha256: str | None
    size: int | None
    requires_python: str | None
    yanked: str | None
    """The reason, which may be empty; ``None`` for a file that is not yanked."""
    upload_time: str | None


def _project(name: NormalizedName, listed: Iterable[_Listed], *, url: str, announced: bool) -> Project:
    files: list[ProjectFile] = []
    skipped = strangers = 0
    for row in listed:
        joined = row.url if _ABSOLUTE.match(row.url) else urljoin(url, row.url)
        filename = unquote(urlsplit(joined).path.rpartition("/")[2])
        identified = identify(name, filename)
        if identified is None:
            skipped += 1
            strangers += not canonicalize_name(filename).startswith(name)
            continue
        kind, version = identified
        files.append(
            ProjectFile(
                filename=filename,
                url=without_credentials(joined),
                version=version,
                kind=kind,
                sha256=row.sha256,
                size=row.size,
                requires_python=parse_requires_python(row.requires_python or ""),
                yanked=row.yanked is not None,
                yanked_reason=row.yanked or "",
                upload_time=_time(row.upload_time),
            )
        )
    if not files and (strangers or not (announced or skipped)):  # a login page, say, or the page of another project
        raise NotAPage(f"lists no file of {name}")
    return Project.of(name, files, skipped=skipped)


def _json_files(body: bytes) -> tuple[list[_Listed], bool]:
    try:
        page = json.loads(body)
    except ValueError as error:
        raise NotAPage(f"is broken or truncated JSON ({error})") from error
    if not isinstance(page, dict) or not isinstance(page.get("files"), list):
        raise NotAPage('is JSON without "files"')
    meta = page.get("meta")
    _check_version(str(meta.get("api-version", "")) if isinstance(meta, dict) else "")
    return [_json_file(place, file) for place, file in enumerate(page["files"])], True


def _json_file(place: int, file: object) -> _Listed:
    if not isinstance(file, dict) or not isinstance(file.get("url"), str):
        raise NotAPage(f"has no URL in files[{place}]")
    hashes = file.get("hashes")
    yanked = file.get("yanked", False)
    return _Listed(
        file["url"].partition("#")[0],
        sha256=_sha256(hashes.get("sha256") if isinstance(hashes, dict) else None),
        size=_typed(file, "size", int),
        requires_python=_typed(file, "requires-python", str),
        yanked=(yanked if isinstance(yanked, str) else "") if yanked or yanked == "" else None,
        upload_time=_typed(file, "upload-time", str),
    )


def _html_files(body: bytes, parameters: str) -> tuple[list[_Listed], bool]:
    charset = re.search(r"charset=\"?([\w-]+)", parameters)
    parser = _Links()
    try:
        parser.feed(body.decode(charset[1] if charset else "utf-8", "replace"))
    except LookupError:
        parser.feed(body.decode("utf-8", "replace"))
    if parser.rawdata.startswith("<"):  # fed, but not closed: what is left is a tag that never ended
        raise NotAPage("is truncated HTML")
    if parser.version is not None:
        _check_version(parser.version)
    return list(parser.listed()), parser.version is not None


class _Links(HTMLParser):
    """Collects the anchors of a page; their text repeats the file name that the URL ends with (PEP 503)."""

    def __init__(self) -> None:
        super().__init__()
        self.base = ""
        self.version: str | None = None
        self.anchors: list[Mapping[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.anchors.append(dict(attrs))
        elif tag == "base" and not self.base:
            self.base = dict(attrs).get("href") or ""
        elif tag == "meta" and ("name", "pypi:repository-version") in attrs:
            self.version = dict(attrs).get("content") or ""

    def listed(self) -> Iterator[_Listed]:
        """Yield the links that lead somewhere, relative to the page."""
        for anchor in self.anchors:
            url, _, fragment = (anchor.get("href") or "").strip().partition("#")
            if url:
                yield _Listed(
                    urljoin(self.base, url) if self.base else url,
                    sha256=_sha256(fragment.removeprefix("sha256=") if fragment.startswith("sha256=") else None),
                    size=None,
                    requires_python=anchor.get("data-requires-python"),
                    yanked=(anchor["data-yanked"] or "") if "data-yanked" in anchor else None,
                    upload_time=anchor.get("data-upload-time"),  # no standard yet, but what some indexes say
                )


def _check_version(version: str) -> None:
    major = re.match(r"(\d+)\.\d+$", version)
    if major is None or int(major[1]) != _OUR_VERSION:
        raise NotAPage(f"is of version {version or '(none)'} of the Simple API, expected {_OUR_VERSION}.x")


def _sha256(text: Any) -> str | None:  # noqa: ANN401 - whatever a server sent
    return text.lower() if isinstance(text, str) and re.fullmatch(r"[0-9a-fA-F]{64}", text) else None


def _typed(file: Mapping[str, Any], key: str, kind: type[Any]) -> Any:  # noqa: ANN401 - as ``kind`` says
    value = file.get(key)
    return value if isinstance(value, kind) and not isinstance(value, bool) else None


def _time(text: str | None) -> datetime | None:
    try:
        time = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return time if time is None or time.tzinfo else time.replace(tzinfo=UTC)
