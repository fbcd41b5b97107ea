"""The package index as values: project pages and the project list, in their JSON form (PEP 691, PEP 700).

A page's JSON form is *the* state of a project; everything else that is served is rendered from it. Keys that start with
an underscore are private, which PEP 691 reserves them for. Keys that this version does not know survive a rewrite, so
that a project's status (PEP 792) or its tracks (PEP 708) fit in without a new format.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from packaging.utils import InvalidSdistFilename, NormalizedName, canonicalize_name, parse_sdist_filename
from packaging.version import InvalidVersion, Version

from tasks.core.errors import ServiceFailed
from tasks.core.simple_json import At, canonical, parse
from tasks.core.wheels import WheelName

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

JSON_TYPE = "application/vnd.pypi.simple.v1+json"
HTML_TYPE = "application/vnd.pypi.simple.v1+html"
API_VERSION = "1.1"
LIST_PATH = "simple/index.json"
LIST_HTML_PATH = "simple/index.html"
HOME_PATH = "index.html"

_SHA256 = re.compile(r"[0-9a-f]{64}")


def page_path(project: NormalizedName) -> str:
    """Where a project's state lies in the index."""
    return f"simple/{project}/index.json"


def page_html_path(project: NormalizedName) -> str:
    """Where a project's PEP 503 page lies in the index."""
    return f"simple/{project}/index.html"


def wheel_path(filename: str) -> str:
    """Where a wheel lies in the index; its metadata has the same path and ``.metadata`` (PEP 658)."""
    return f"packages/{filename}"


def digest_of(page: bytes) -> str:
    """Return the digest of a page as it is stored: see :attr:`ProjectPage.digest`."""
    return hashlib.sha256(page).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexFile:
    """One file of a project page."""

    filename: str
    sha256: str
    """64 hex digits."""
    size: int | None = None
    """In bytes. PEP 700: "This field is mandatory"; pages of other tools may lack it all the same."""
    upload_time: str | None = None
    """PEP 700: "a valid ISO 8601 date/time string, in the format ``yyyy-mm-ddThh:mm:ss.ffffffZ``", UTC."""
    requires_python: str | None = None
    core_metadata: str | None = None
    """The sha256 of ``<file>.metadata``, 64 hex digits (PEP 658, named as PEP 714 has it); None: not served."""
    yanked: str | None = None
    """None: not yanked. Else the reason, which may be empty (PEP 592)."""
    recipe: str | None = None
    """The recipe key of the action that built it, where it is known: the private key ``_recipe``."""
    url: str = ""
    """PEP 691: "may be absolute or relative"; empty: the wheel in ``packages/``."""
    other_hashes: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def link(self) -> str:
        """The file's URL, relative to its project's page."""
        return self.url or f"../../packages/{quote(self.filename)}"

    @property
    def wheel(self) -> WheelName | None:
        """The file's name, parsed; None for what is no wheel."""
        try:
            return WheelName.parse(self.filename)
        except ValueError:
            return None

    @property
    def version(self) -> Version | None:
        """The version in the file's name; None where the name has none."""
        wheel = self.wheel
        if wheel is not None:
            return wheel.version
        try:
            return parse_sdist_filename(self.filename)[1]
        except (InvalidSdistFilename, InvalidVersion):
            return None

    def to_dict(self) -> dict[str, Any]:
        """Return the file as PEP 691 writes it; optional keys only where they say something."""
        made: dict[str, Any] = {
            **self.extra,
            "filename": self.filename,
            "url": self.link,
            "hashes": {**self.other_hashes, "sha256": self.sha256},
        }
        optional = {
            "size": self.size,
            "upload-time": self.upload_time,
            "requires-python": self.requires_python,
            "core-metadata": None if self.core_metadata is None else {"sha256": self.core_metadata},
            # PEP 691: "a boolean … or an arbitrary, non-empty, string": a yank without a reason is the boolean.
            "yanked": None if self.yanked is None else (self.yanked or True),
            "_recipe": self.recipe,
        }
        made.update({key: value for key, value in optional.items() if value is not None})
        return made

    @classmethod
    def from_dict(cls, value: object, at: At) -> Self:
        """Read a file of a PEP 691 page; unknown keys are kept in ``extra``."""
        rest = dict(at.expect(value, dict, "an object"))
        filename = at.take(rest, "filename", str, "a string")
        hashes = dict(at.take(rest, "hashes", dict, "an object"))
        sha256 = hashes.pop("sha256", None)
        if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
            raise at.key("hashes").key("sha256").wrong(sha256, "64 hex digits")
        url = at.take(rest, "url", str, "a string")
        yanked = rest.pop("yanked", False)
        return cls(
            filename=filename,
            sha256=sha256,
            size=at.take_optional(rest, "size", int, "a whole number"),
            upload_time=at.take_optional(rest, "upload-time", str, "a string"),
            requires_python=at.take_optional(rest, "requires-python", str, "a string"),
            core_metadata=_core_metadata(rest),
            yanked=yanked if isinstance(yanked, str) else ("" if yanked else None),
            recipe=at.take_optional(rest, "_recipe", str, "a string"),
            url="" if url == f"../../packages/{quote(filename)}" else url,
            other_hashes=hashes,
            extra=rest,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectPage:
    """One project's files, sorted by name (PEP 691, PEP 700)."""

    name: NormalizedName
    serial: int = 0
    """How often the page has changed; ``_last-serial`` in its ``meta``, as the public index has it."""
    versions: tuple[str, ...] = ()
    """PEP 700: "an array of strings … all of the project versions"; here in version order."""
    files: tuple[IndexFile, ...] = ()
    api_version: str = API_VERSION
    meta_extra: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: bytes, where: str) -> Self:
        """Parse a page. Raises :class:`ServiceFailed` that names ``where``, the key path and what was found."""
        at = At(where)
        rest = dict(at.expect(parse(data, at), dict, "an object"))
        meta = dict(at.take(rest, "meta", dict, "an object"))
        place = at.key("files")
        files = [
            IndexFile.from_dict(file, place.key(i)) for i, file in enumerate(at.take(rest, "files", list, "an array"))
        ]
        versions = at.take_optional(rest, "versions", list, "an array")
        place = at.key("versions")
        return cls(
            name=canonicalize_name(at.take(rest, "name", str, "a string")),
            serial=at.key("meta").take_optional(meta, "_last-serial", int, "a whole number") or 0,
            versions=_versions(_versions_of(files))  # PEP 691 pages, before PEP 700
            if versions is None
            else tuple(place.key(i).expect(text, str, "a string") for i, text in enumerate(versions)),
            files=tuple(files),
            api_version=_api_version(meta, at),
            meta_extra=meta,
            extra=rest,
        )

    def to_json(self) -> bytes:
        """Return the page's bytes: equal pages give equal bytes."""
        return canonical(
            {
                **self.extra,
                "meta": {**self.meta_extra, "api-version": self.api_version, "_last-serial": self.serial},
                "name": self.name,
                "versions": list(self.versions),
                "files": [file.to_dict() for file in sorted(self.files, key=lambda file: file.filename)],
            }
        )

    @property
    def digest(self) -> str:
        """What tells the page's state from any other: 16 hex digits of the sha256 of its bytes."""
        return digest_of(self.to_json())

    @property
    def newest(self) -> str | None:
        """The newest version, a final release before a pre-release; None where the page has none."""
        known = [Version(text) for text in self.versions if _is_version(text)]
        finals = [version for version in known if not version.is_prerelease]
        return str(max(finals or known)) if known else None

    def file(self, filename: str) -> IndexFile | None:
        """Return the page's file of that name."""
        return next((file for file in self.files if file.filename == filename), None)

    def merged(self, files: Iterable[IndexFile]) -> Self:
        """Return the page with ``files`` on it, its serial one higher; the page itself when that changes nothing.

        A file that is listed already stays as it is, its upload time and its yank with it; only a recipe key, or the
        hash of its metadata, is filled in where there was none. A link is never lost and never changes its hash.
        """
        known = {file.filename: file for file in self.files}
        for file in files:
            known[file.filename] = _filled_in(known[file.filename], file) if file.filename in known else file
        merged = tuple(known[name] for name in sorted(known))
        if merged == tuple(sorted(self.files, key=lambda file: file.filename)):
            return self
        present = {file.filename for file in self.files}
        added = _versions_of(file for file in merged if file.filename not in present)
        versions = _versions((*self.versions, *added)) if added else self.versions
        return replace(self, serial=self.serial + 1, files=merged, versions=versions)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedProject:
    """One project in the project list."""

    name: NormalizedName
    serial: int = 0
    """The serial of the page that is known to be complete; a page with a higher one is unfinished."""
    newest: str | None = None
    """The newest version, for people: the private key ``_version``."""
    state: str | None = None
    """The digest of that page (:attr:`ProjectPage.digest`), the private key ``_state``: with the serial it tells a
    reader who has the page already that it need not be read again, even of an index that was made anew."""
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectList:
    """Every project of the index, sorted by name (PEP 691)."""

    serial: int = 0
    projects: tuple[ListedProject, ...] = ()
    api_version: str = API_VERSION
    meta_extra: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: bytes, where: str = LIST_PATH) -> Self:
        """Parse the list. Raises :class:`ServiceFailed` that names ``where``, the key path and what was found."""
        at = At(where)
        rest = dict(at.expect(parse(data, at), dict, "an object"))
        meta = dict(at.take(rest, "meta", dict, "an object"))
        projects = at.take(rest, "projects", list, "an array")
        return cls(
            serial=at.key("meta").take_optional(meta, "_last-serial", int, "a whole number") or 0,
            projects=tuple(_listed(project, at.key("projects").key(i)) for i, project in enumerate(projects)),
            api_version=_api_version(meta, at),
            meta_extra=meta,
            extra=rest,
        )

    def to_json(self) -> bytes:
        """Return the list's bytes: equal lists give equal bytes."""
        return canonical(
            {
                **self.extra,
                "meta": {**self.meta_extra, "api-version": self.api_version, "_last-serial": self.serial},
                "projects": [_listed_to_dict(project) for project in sorted(self.projects, key=lambda p: p.name)],
            }
        )

    def serial_of(self, project: NormalizedName) -> int:
        """Return the serial that the list has for a project; 0 where it does not list it."""
        return next((listed.serial for listed in self.projects if listed.name == project), 0)

    def merged(self, pages: Iterable[ProjectPage]) -> Self:
        """Return the list with the pages' serials, where they are higher; the list itself when none is."""
        known = {listed.name: listed for listed in self.projects}
        for page in pages:
            listed = known.get(page.name, ListedProject(name=page.name))
            if page.serial > listed.serial or page.name not in known:
                known[page.name] = replace(listed, serial=page.serial, newest=page.newest, state=page.digest)
        projects = tuple(known[name] for name in sorted(known))
        if projects == tuple(sorted(self.projects, key=lambda listed: listed.name)):
            return self
        return replace(self, serial=self.serial + 1, projects=projects)


def _api_version(meta: dict[str, Any], at: At) -> str:
    version = at.key("meta").take(meta, "api-version", str, "a string")
    if version.split(".")[0] != "1":  # PEP 629: clients must fail on a major version that they do not know
        found = f"{at.where}: meta.api-version is {version!r}, expected version 1 of the Simple API"
        raise ServiceFailed(f"{found}; a newer spare-tire wrote the page: update this one")
    return version


def _core_metadata(rest: dict[str, Any]) -> str | None:
    """PEP 714: read ``core-metadata``, and the earlier ``dist-info-metadata`` only where that is missing."""
    earlier = rest.pop("dist-info-metadata", None)
    value = rest.pop("core-metadata", earlier)
    found = value.get("sha256") if isinstance(value, dict) else None
    return found if isinstance(found, str) and _SHA256.fullmatch(found) else None


def _filled_in(listed: IndexFile, offered: IndexFile) -> IndexFile:
    if listed.sha256 != offered.sha256:
        return listed
    return replace(
        listed,
        size=listed.size if listed.size is not None else offered.size,
        upload_time=listed.upload_time or offered.upload_time,
        requires_python=listed.requires_python or offered.requires_python,
        core_metadata=listed.core_metadata or offered.core_metadata,
        recipe=listed.recipe or offered.recipe,
    )


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True


def _versions_of(files: Iterable[IndexFile]) -> list[str]:
    return [str(file.version) for file in files if file.version is not None]


def _versions(texts: Iterable[str]) -> tuple[str, ...]:
    """Sort in version order, one text for each version; what is no version comes first, by its text."""
    unique: dict[Version | str, str] = {}
    for text in texts:
        unique.setdefault(Version(text) if _is_version(text) else text, text)
    others = sorted(key for key in unique if isinstance(key, str))
    versions = sorted(key for key in unique if isinstance(key, Version))
    return (*others, *(unique[version] for version in versions))


def _listed(value: object, at: At) -> ListedProject:
    rest = dict(at.expect(value, dict, "an object"))
    return ListedProject(
        name=canonicalize_name(at.take(rest, "name", str, "a string")),
        serial=at.take_optional(rest, "_last-serial", int, "a whole number") or 0,
        newest=at.take_optional(rest, "_version", str, "a string"),
        state=at.take_optional(rest, "_state", str, "a string"),
        extra=rest,
    )


def _listed_to_dict(listed: ListedProject) -> dict[str, Any]:
    optional = {"_version": listed.newest, "_state": listed.state}
    said = {key: value for key, value in optional.items() if value is not None}
    return {**listed.extra, "name": listed.name, "_last-serial": listed.serial, **said}
