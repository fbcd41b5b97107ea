"""A project's page as a value, in its JSON form (PEP 691, PEP 700), and where things lie in an index.

A page's JSON form is *the* state of a project; everything else that is served is rendered from it. Keys that start with
an underscore are private, which PEP 691 reserves them for. Keys that this version does not know survive a rewrite.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from tasks.core.errors import ServiceFailed
from tasks.core.index_file import IndexFile
from tasks.core.settings import QUARANTINED, Settings, Status
from tasks.core.simple_json import At, canonical, parse

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

JSON_TYPE = "application/vnd.pypi.simple.v1+json"
HTML_TYPE = "application/vnd.pypi.simple.v1+html"
API_VERSION = "1.4"
"""PEP 792's, the newest whose keys these pages may have."""
LIST_PATH = "simple/index.json"
LIST_HTML_PATH = "simple/index.html"
LIST_JSON_PATH = "json/index.html"
HOME_PATH = "index.html"

_VERSION_1 = re.compile(r"1\.\d+")


def page_path(project: NormalizedName) -> str:
    """Where a project's state lies in the index."""
    return f"simple/{project}/index.json"


def page_html_path(project: NormalizedName) -> str:
    """Where a project's PEP 503 page lies in the index."""
    return f"simple/{project}/index.html"


def page_json_path(project: NormalizedName) -> str:
    """Where a project's JSON page lies once more in a bucket, under the name that is served for ``json/<project>/``."""
    return f"json/{project}/index.html"


def wheel_path(filename: str) -> str:
    """Where a wheel lies in the index; its metadata has the same path and ``.metadata`` (PEP 658)."""
    return f"packages/{filename}"


def digest_of(page: bytes) -> str:
    """Return the digest of a page as it is stored: see :attr:`ProjectPage.digest`."""
    return hashlib.sha256(page).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What is kept of one version, to render its release JSON: an item of the private key ``_releases``."""

    serial: int = 0
    """The page's serial when the version's files last changed."""
    source: str = ""
    """The wheel whose metadata ``info`` is from: of all that were published the first by name."""
    info: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, value: object, at: At) -> Self:
        """Read an item of ``_releases``."""
        rest = dict(at.expect(value, dict, "an object"))
        return cls(
            serial=at.take(rest, "serial", int, "a whole number"),
            source=at.take(rest, "source", str, "a string"),
            info=at.take(rest, "info", dict, "an object"),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the release as an item of ``_releases``."""
        return {"serial": self.serial, "source": self.source, "info": dict(self.info)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectPage:
    """One project's files, sorted by name (PEP 691, PEP 700)."""

    name: NormalizedName
    serial: int = 0
    """How often the page has changed; ``_last-serial`` in its ``meta``, as the public index has it."""
    versions: tuple[str, ...] = ()
    """PEP 700: "an array of strings … all of the project versions"; here in version order."""
    files: tuple[IndexFile, ...] = ()
    settings: Settings = Settings()
    releases: Mapping[str, Release] = field(default_factory=dict)
    """By version, in its normal form."""
    api_version: str = API_VERSION
    meta_extra: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: bytes, where: str) -> Self:
        """Parse a page. Raises :class:`ServiceFailed` that names ``where``, the key path and what was found."""
        at = At(where)
        rest = dict(at.expect(parse(data, at), dict, "an object"))
        meta = dict(at.take(rest, "meta", dict, "an object"))
        key = "_files" if "_files" in rest else "files"  # PEP 792: a quarantined project offers none
        place = at.key(key)
        listed = at.take(rest, key, list, "an array")
        files = tuple(IndexFile.from_dict(file, place.key(number)) for number, file in enumerate(listed))
        rest.pop("files", None)
        versions = at.take_optional(rest, "versions", list, "an array")
        releases = at.take_optional(rest, "_releases", dict, "an object") or {}
        return cls(
            name=canonicalize_name(at.take(rest, "name", str, "a string")),
            serial=at.key("meta").take_optional(meta, "_last-serial", int, "a whole number") or 0,
            versions=_versions(_versions_of(files))  # PEP 691 pages, before PEP 700
            if versions is None
            else tuple(at.key("versions").key(i).expect(text, str, "a string") for i, text in enumerate(versions)),
            files=files,
            settings=_settings(rest, meta, at),
            releases={
                version: Release.from_dict(value, at.key("_releases").key(version))
                for version, value in releases.items()
            },
            api_version=api_version_of(meta, at),
            meta_extra=meta,
            extra=rest,
        )

    def to_json(self) -> bytes:
        """Return the page's bytes: equal pages give equal bytes."""
        index_url = self.settings.index_url
        files = [file.to_dict(index_url) for file in sorted(self.files, key=lambda file: file.filename)]
        hidden = self.settings.status.state == QUARANTINED
        releases = {version: release.to_dict() for version, release in self.releases.items()}
        serial = {"api-version": self.api_version, "_last-serial": self.serial}
        return canonical(
            {
                **self.extra,
                **self.settings.to_dict(),
                "meta": {**self.meta_extra, **self.settings.to_meta(), **serial},
                "name": self.name,
                "versions": list(self.versions),
                "files": [] if hidden else files,
                **({"_files": files} if hidden else {}),
                **({"_releases": releases} if releases else {}),
            }
        )

    @property
    def digest(self) -> str:
        """What tells the page's state from any other: 16 hex digits of the sha256 of its bytes."""
        return digest_of(self.to_json())

    @property
    def offered(self) -> tuple[IndexFile, ...]:
        """The files that installers are shown. PEP 792 of a quarantined project: "MUST NOT offer any"."""
        return () if self.settings.status.state == QUARANTINED else self.files

    @property
    def newest(self) -> str | None:
        """The newest version, one that is not yanked and final where there is one; None where the page has none."""
        if not self.versions:
            return None
        standing: dict[Version | None, bool] = {}
        for file in self.files:
            standing[file.version] = file.yanked is None or standing.get(file.version, False)
        known = [Version(text) for text in self.versions if _is_version(text)]
        ranked = ((standing.get(version, True), not version.is_prerelease, version) for version in known)
        return str(max(ranked)[2]) if known else None

    def file(self, filename: str) -> IndexFile | None:
        """Return the page's file of that name."""
        return next((file for file in self.files if file.filename == filename), None)

    def merged(self, files: Iterable[IndexFile], told: Mapping[str, Mapping[str, Any]] | None = None) -> Self:
        """Return the page with ``files`` on it, its serial one higher; the page itself when that changes nothing.

        A file that is listed already stays as it is, its upload time and its yank with it; only what was not known is
        filled in: a recipe key, the hash of its metadata. A link is never lost and never changes its hash.
        ``told`` has, by file name, what the files' metadata say of their versions.
        """
        known = {file.filename: file for file in self.files}
        for file in files:
            known[file.filename] = known[file.filename].filled_in(file) if file.filename in known else file
        return self._changed(known, told or {})

    def marked(self, yanks: Mapping[str, str | None]) -> Self:
        """Return the page with files yanked, for a reason that may be empty, or, with None, not yanked any more."""
        return self._changed({f.filename: replace(f, yanked=yanks.get(f.filename, f.yanked)) for f in self.files}, {})

    def without(self, filenames: Collection[str]) -> Self:
        """Return the page without some files, its serial one higher; the page itself where it has none of them.

        Their versions stay, as PEP 700 has it: "all of the project versions" may be more than those with files. What
        their metadata told of them goes.
        """
        gone = [file for file in self.files if file.filename in filenames]
        if not gone:
            return self
        files = tuple(file for file in self.files if file.filename not in filenames)
        releases = {
            version: replace(release, source="", info={}) if release.source in filenames else release
            for version, release in self.releases.items()
        }
        return self._next(_versions_of(gone), releases, files=files)

    def set(self, settings: Settings) -> Self:
        """Return the page with other settings, its serial one higher; the page itself when they are its own."""
        if settings == self.settings:
            return self
        if not self.files:  # nothing has been shown yet
            return replace(self, settings=settings)
        versions = {*self.releases, *_versions_of(self.files)}  # what the settings are shown in: all of them
        return self._next(versions, self.releases, settings=settings)

    def _changed(self, known: Mapping[str, IndexFile], told: Mapping[str, Mapping[str, Any]]) -> Self:
        before = {file.filename: file for file in self.files}
        releases = dict(self.releases)
        for filename in sorted(told):
            version = str(known[filename].version)
            release = releases.get(version, Release())
            if not release.source or filename <= release.source:
                releases[version] = replace(release, source=filename, info=told[filename])
        if known == before and releases == self.releases:
            return self
        touched = {version for version, release in releases.items() if release != self.releases.get(version)}
        touched |= set(_versions_of(file for name, file in known.items() if before.get(name) != file))
        added = _versions_of(file for name, file in known.items() if name not in before)
        return self._next(
            touched,
            releases,
            files=tuple(known[name] for name in sorted(known)),
            versions=_versions((*self.versions, *added)) if added else self.versions,
        )

    def _next(
        self,
        touched: Iterable[str],
        releases: Mapping[str, Release],
        **changes: Any,  # noqa: ANN401 - fields of this class
    ) -> Self:
        """Return the page with a serial one higher, which is also that of the versions ``touched``."""
        serial = self.serial + 1
        changed = {version: replace(releases.get(version, Release()), serial=serial) for version in touched}
        newer = max(self.api_version, API_VERSION, key=lambda text: int(text.partition(".")[2]))
        return replace(self, serial=serial, api_version=newer, releases={**releases, **changed}, **changes)


def api_version_of(meta: dict[str, Any], at: At) -> str:
    """Take the API's version from a page's ``meta``. Raises :class:`ServiceFailed` for one that is not version 1."""
    version = at.key("meta").take(meta, "api-version", str, "a string")
    if not _VERSION_1.fullmatch(version):  # PEP 629: clients must fail on a major version that they do not know
        found = f"{at.where}: meta.api-version is {version!r}, expected version 1 of the Simple API"
        raise ServiceFailed(f"{found}; a newer spare-tire wrote the page: update this one")
    return version


def _settings(rest: dict[str, Any], meta: dict[str, Any], at: At) -> Settings:
    status = Status()
    found = at.take_optional(rest, "project-status", dict, "an object")
    if found is not None:
        place = at.key("project-status")
        state = place.take_optional(found, "status", str, "a string") or status.state
        status = Status(state=state, reason=place.take_optional(found, "reason", str, "a string") or "")
    return Settings(
        status=status,
        tracks=_urls(meta, "tracks", at.key("meta")),
        alternate_locations=_urls(rest, "alternate-locations", at),
        index_url=at.key("meta").take_optional(meta, "_index-url", str, "a string"),
    )


def _urls(mapping: dict[str, Any], key: str, at: At) -> tuple[str, ...]:
    urls = at.take_optional(mapping, key, list, "an array") or []
    return tuple(at.key(key).key(i).expect(url, str, "a string") for i, url in enumerate(urls))


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
